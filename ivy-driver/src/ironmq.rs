//! A queue on an IronMQ v3 server: the dialect over the HTTP client.

use futures_util::future::{BoxFuture, FutureExt};
use ivy_proto::queue::ironmq::IronMq;
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};

use crate::backend::Queue;
use crate::runtime::{Exchange, HttpClient};

/// A queue backend on an IronMQ v3 server.
#[derive(Debug)]
pub(crate) struct IronMqQueue<Http> {
    client: Http,
    dialect: IronMq,
}

impl<Http: HttpClient> IronMqQueue<Http> {
    pub(crate) fn new(client: Http, dialect: IronMq) -> Self {
        IronMqQueue { client, dialect }
    }
}

impl<Http: HttpClient> Queue for IronMqQueue<Http> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ironmq()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
        let dialect = self.dialect.clone();
        let request = dialect.encode(&op);
        let server = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let answered = self.client.send(Exchange {
            request,
            time_limit: op.time_limit(),
            answer_limit: dialect.answer_limit(&op),
            waits: matches!(&op, QueueOp::Reserve { wait, .. } if !wait.is_zero()),
        });
        async move {
            let answer = answered.await.map_err(|fault| fault.with_server(&server))?;
            dialect.decode(&op, answer)
        }
        .boxed()
    }
}
