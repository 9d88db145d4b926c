/// Implements [`Harness`](crate::harness::Harness) for an adapter, given its crate. All adapters
/// use the same names; for the differences, the module that invokes this macro provides
///
/// * `wait`, which takes what a method returns and waits for its result;
/// * `forward`, which forwards the adapter's `Events` to a channel;
/// * `cancelled_within`, which waits until a `Ctx` is cancelled and returns whether it was.
macro_rules! adapter {
    ($ivy:ident, $name:literal) => {
        const _: () = {
            use std::sync::{Arc, mpsc};
            use std::time::Duration;

            use ivy_proto::admin::{Report, SweepConfig};
            use ivy_proto::check::CheckReport;
            use ivy_proto::event::Event;
            use ivy_proto::metrics::Snapshot;
            use ivy_proto::presence::Heard;
            use ivy_proto::queue::QueueInfo;
            use ivy_proto::task::{
                CallOptions, FromArgs, Task, TaskError, TaskFailure, TaskSpec, ToArgs,
            };
            use ivy_proto::wire::Content;
            use ivy_proto::{Backoff, Cause, ErrorKind, QueueName, TaskId};
            use serde::Serialize;
            use serde::de::DeserializeOwned;

            use crate::harness::{
                Builder, Context, Failure, Handle, Harness, HarnessConfig, Job, ScenarioHandler,
                Worker, WorkerWatch,
            };
            use crate::leak_search;
            use ivy_test_kit::PATIENCE;

            impl Harness for $ivy::Ivy {
                const ADAPTER: &'static str = $name;

                type Error = $ivy::Error;
                type Handle<Output: 'static> = $ivy::Handle<Output>;
                type Builder = $ivy::WorkerBuilder;
                type WorkerWatch = $ivy::WorkerWatch;

                fn connect(config: &HarnessConfig) -> $ivy::Result<Self> {
                    let mut builder =
                        $ivy::Ivy::builder().queue_url(&config.queue).channel(&config.channel);
                    if let Some(notifier) = &config.notifier {
                        builder = builder.notifier_url(notifier);
                    }
                    if let Some(password) = &config.encryption_password {
                        builder = builder.encryption_password(password);
                    }
                    if let Some(encryption) = &config.encryption {
                        builder = builder.encryption(encryption.clone());
                    }
                    builder = builder.node_peers(config.node_peers);
                    if let Some(limit) = config.within {
                        builder = builder.within(limit);
                    }
                    if let Some(roots) = &config.root_certificates {
                        builder = builder.root_certificates(roots);
                    }
                    leak_search::value(&builder);
                    builder.build().inspect(leak_search::value).inspect_err(leak_search::error)
                }

                fn call_with<Args: ToArgs + Send, Output: 'static>(
                    &self,
                    task: &Task<Args, Output>,
                    args: Args,
                    options: CallOptions,
                ) -> $ivy::Result<$ivy::Handle<Output>> {
                    wait(self.call_with(task, args, options))
                        .inspect(leak_search::value)
                        .inspect_err(leak_search::error)
                }

                fn call_many<Args: ToArgs + Send, Output: 'static>(
                    &self,
                    task: &Task<Args, Output>,
                    args: impl IntoIterator<Item = Args>,
                ) -> Vec<$ivy::Result<$ivy::Handle<Output>>> {
                    let handles = wait(self.call_many(task, args));
                    for error in handles.iter().filter_map(|handle| handle.as_ref().err()) {
                        leak_search::error(error);
                    }
                    handles
                }

                fn send_with<Args: ToArgs + Send, Output>(
                    &self,
                    task: &Task<Args, Output>,
                    args: Args,
                    options: CallOptions,
                ) -> $ivy::Result<TaskId> {
                    wait(self.send_with(task, args, options)).inspect_err(leak_search::error)
                }

                fn on_result<Args, Output>(
                    &self,
                    task: &Task<Args, Output>,
                    callback: impl Fn(Args, $ivy::Result<Output>) + Send + Sync + 'static,
                ) -> $ivy::Result<()>
                where
                    Args: FromArgs + 'static,
                    Output: DeserializeOwned + 'static,
                {
                    self.on_result(task, move |args, result: $ivy::Result<Output>| {
                        callback(args, result.inspect_err(leak_search::error));
                    })
                }

                fn into_handle<Args, Output: 'static>(
                    error: $ivy::Error,
                    task: &Task<Args, Output>,
                ) -> Option<$ivy::Handle<Output>> {
                    error.into_handle(task)
                }

                fn worker(&self) -> $ivy::WorkerBuilder {
                    self.worker()
                }

                fn info(&self, queue: &str) -> $ivy::Result<QueueInfo> {
                    wait(self.admin().info(queue))
                        .inspect(leak_search::value)
                        .inspect_err(leak_search::error)
                }

                fn peek(&self, queue: &str) -> $ivy::Result<Vec<Content>> {
                    let messages = wait(self.admin().peek(queue, 100))
                        .inspect(leak_search::value)
                        .inspect_err(leak_search::error)?;
                    Ok(messages.into_iter().map(|message| message.content).collect())
                }

                fn clear(&self, queue: &str) -> $ivy::Result<()> {
                    wait(self.admin().clear(queue)).inspect_err(leak_search::error)
                }

                fn sweep(&self, config: SweepConfig) -> $ivy::Result<Report> {
                    let mut sweep = self.admin().sweep(config).inspect_err(leak_search::error)?;
                    let mut report = None;
                    while let Some(step) = wait(sweep.next()) {
                        leak_search::value(&step);
                        match step {
                            $ivy::SweepStep::Plan(_) => sweep.confirm(),
                            $ivy::SweepStep::Finished(last) => report = Some(*last),
                            _ => {}
                        }
                    }
                    Ok(report.expect("a sweep ends with its report"))
                }

                fn events(&self) -> mpsc::Receiver<Event> {
                    let (sender, receiver) = mpsc::channel();
                    forward(self.events(), sender);
                    receiver
                }

                fn check(&self, limit: Duration) -> $ivy::Result<CheckReport> {
                    wait(self.check(limit))
                        .inspect(leak_search::value)
                        .inspect_err(leak_search::error)
                }

                fn metrics(&self) -> Snapshot {
                    wait(self.metrics())
                }

                fn workers(&self, duration: Duration) -> $ivy::Result<Heard> {
                    wait(self.workers(duration))
                        .inspect(leak_search::value)
                        .inspect_err(leak_search::error)
                }

                fn watch_workers(&self) -> $ivy::Result<$ivy::WorkerWatch> {
                    self.watch_workers().inspect_err(leak_search::error)
                }
            }

            impl WorkerWatch for $ivy::WorkerWatch {
                type Error = $ivy::Error;

                fn listen(&mut self, duration: Duration) -> $ivy::Result<Heard> {
                    wait(self.listen(duration))
                        .inspect(leak_search::value)
                        .inspect_err(leak_search::error)
                }
            }

            impl Failure for $ivy::Error {
                fn kind(&self) -> ErrorKind {
                    self.kind()
                }

                fn cause(&self) -> &Cause {
                    self.cause()
                }

                fn failure(&self) -> Option<&TaskFailure> {
                    self.failure()
                }

                fn task_id(&self) -> Option<TaskId> {
                    self.task_id()
                }

                fn queue(&self) -> Option<&QueueName> {
                    self.queue()
                }
            }

            impl<Output: 'static> Handle<Output> for $ivy::Handle<Output> {
                type Error = $ivy::Error;

                fn id(&self) -> TaskId {
                    self.id()
                }

                fn result(&self, timeout: Duration) -> $ivy::Result<Output>
                where
                    Output: DeserializeOwned,
                {
                    wait(self.result(timeout)).inspect_err(leak_search::error)
                }
            }

            impl Builder for $ivy::WorkerBuilder {
                type Error = $ivy::Error;
                type Worker = $ivy::Worker;

                fn register<Args, Output, Function>(
                    self,
                    task: impl TaskSpec<Args, Output>,
                    handler: Function,
                ) -> Self
                where
                    Args: FromArgs + Send + 'static,
                    Output: Serialize + Send + 'static,
                    Function: Fn(Job, Args) -> Result<Output, TaskError> + Send + Sync + 'static,
                {
                    self.register(task, ScenarioHandler(Arc::new(handler)))
                }

                fn queue(self, queue: &str) -> Self {
                    self.queue(queue)
                }

                fn concurrency(self, handlers: usize) -> Self {
                    self.concurrency(handlers)
                }

                fn lease(self, lease: Duration) -> Self {
                    self.lease(lease)
                }

                fn route(self, route: &str) -> Self {
                    self.route(route)
                }

                fn weight(self, queue: &str, weight: u32) -> Self {
                    self.weight(queue, weight)
                }

                fn priorities(self, priorities: impl IntoIterator<Item = u8>) -> Self {
                    self.priorities(priorities)
                }

                fn backoff(self, backoff: Backoff) -> Self {
                    self.backoff(backoff)
                }

                fn max_deliveries(self, deliveries: u32) -> Self {
                    self.max_deliveries(deliveries)
                }

                fn drain_limit(self, limit: Duration) -> Self {
                    self.drain_limit(limit)
                }

                fn presence(self, enabled: bool) -> Self {
                    self.presence(enabled)
                }

                fn start(self) -> $ivy::Result<$ivy::Worker> {
                    leak_search::value(&self);
                    wait(self.start()).inspect(leak_search::value).inspect_err(leak_search::error)
                }
            }

            impl Worker for $ivy::Worker {
                fn pause(&self) {
                    self.pause();
                }

                fn resume(&self) {
                    self.resume();
                }

                fn pause_notifier(&self) {
                    self.pause_notifier();
                }

                fn resume_notifier(&self) {
                    self.resume_notifier();
                }

                fn drain(&self, limit: Duration) {
                    wait(self.drain(limit));
                }
            }

            impl Context for $ivy::Ctx {
                fn job(self) -> Job {
                    leak_search::value(&self);
                    let ivy = self.ivy().clone();
                    Job {
                        task_id: self.task_id(),
                        message_id: self.message_id().clone(),
                        queue: self.queue().clone(),
                        attempt: self.attempt(),
                        max_attempts: self.max_attempts(),
                        trace: self.trace().cloned(),
                        tracestate: self.tracestate().cloned(),
                        cancelled_within: Box::new(move |limit| cancelled_within(&self, limit)),
                        call: Box::new(move |task, number| {
                            let handle = wait(ivy.call(task, (number,)))?;
                            Ok(wait(handle.result(PATIENCE)).inspect_err(leak_search::error)?)
                        }),
                    }
                }
            }
        };
    };
}

/// The same for an adapter whose methods are futures, which its module can `poll`.
macro_rules! adapter_of_futures {
    ($ivy:ident, $name:literal) => {
        crate::adapter::adapter!($ivy, $name);

        impl crate::futures::Futures for $ivy::Ivy {
            fn call_for<Args: ivy_proto::task::ToArgs + Send, Output: 'static>(
                &self,
                polls: usize,
                task: &ivy_proto::task::Task<Args, Output>,
                args: Args,
            ) -> Option<$ivy::Result<$ivy::Handle<Output>>> {
                poll(polls, self.call(task, args))
            }

            fn result_for<Output: serde::de::DeserializeOwned + 'static>(
                polls: usize,
                handle: &$ivy::Handle<Output>,
                timeout: Duration,
            ) -> Option<$ivy::Result<Output>> {
                poll(polls, handle.result(timeout))
            }
        }
    };
}

pub(crate) use {adapter, adapter_of_futures};
