//! A queue on an IronMQ v3 server: the dialect over the HTTP client.

use futures_util::future::{BoxFuture, FutureExt};
use ivy_proto::queue::ironmq::IronMq;
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};

use crate::backend::Queue;
use crate::http::HttpClient;

/// A queue backend on an IronMQ v3 server.
#[derive(Clone, Debug)]
pub(crate) struct IronMqQueue {
    client: HttpClient,
    dialect: IronMq,
}

impl IronMqQueue {
    pub(crate) fn new(client: HttpClient, dialect: IronMq) -> Self {
        IronMqQueue { client, dialect }
    }
}

impl Queue for IronMqQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ironmq()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
        let this = self.clone();
        async move {
            let request = this.dialect.encode(&op);
            let limit = this.dialect.answer_limit(&op);
            let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            let answer = this.client.send(request, op.time_limit(), limit).await;
            let answer = answer.map_err(|fault| fault.with_server(&server))?;
            this.dialect.decode(&op, answer)
        }
        .boxed()
    }
}
