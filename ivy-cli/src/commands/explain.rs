//! `ivy explain`: why a message does not run.

mod task;

use std::io::{self, Read};

use ivy_proto::admin::Peeked;
use ivy_proto::inspect::{
    Certainty, Description, Evidence, Explanation, QueueEvidence, Redaction, Visibility,
};
use ivy_proto::queue::{Body, ReceivedBody};
use ivy_proto::{MessageId, QueueName, TaskId};
use ivy_tokio::Ivy;
use serde::Serialize;

use super::heard::{ListenOptions, note_unheard};
use super::time::now;
use super::{CommonOptions, queue_not_found};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Page, Report};

/// How many ready messages are looked at: those that a server shows at once.
const SEEN: usize = 100;
/// The longest body that is read from standard input.
const MAX_BODY: u64 = 4 << 20;

/// Explain why a message does not run, or those of a queue, and what to do
///
/// What is known comes first, and guesses are marked as such. The message is named by its id, or by
/// the id of its task; with - its body is read from standard input. Without a message, the queue is
/// explained by its size and, with --workers, by what its workers do and release.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The physical queue, such as mail, mail.p1 or mail.dead
    queue: QueueName,

    /// The message's id in the queue, or - to read a body
    #[arg(allow_hyphen_values = true)]
    message: Option<String>,

    /// Look for the message of this task, and for its dead letter, among the first 100 of each queue
    #[arg(long, value_name = "ID", conflicts_with = "message")]
    task: Option<TaskId>,

    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, message, task, listen, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let mut elsewhere = None;
    let evidence = match (message.as_deref(), task) {
        (Some("-"), _) => of_input(&ivy, queue).await?,
        (Some(message), _) => of_message(&ivy, queue, message).await?,
        (None, Some(task)) => {
            let found = task::find(&ivy, queue, *task).await?;
            elsewhere = Some((found.elsewhere, found.next));
            found.evidence
        }
        (None, None) => return explain_queue(&ivy, queue, listen, &output).await,
    };
    let (heard, unheard) = match listen.hear(&ivy, &output).await {
        Ok(heard) => (heard, None),
        Err(failure) => (None, Some(failure)),
    };
    let evidence = Evidence { heard, ..evidence };
    let mut explanation = Explanation::of(&evidence);
    let mut more = None;
    if let Some((text, next)) = elsewhere {
        more = Some(text);
        if let Some(next) = next {
            explanation.next.insert(0, next);
        }
    }
    output.show(&Explained { explanation, elsewhere: more })?;
    match unheard {
        Some(failure) => note_unheard(&failure, &output),
        None => Ok(Exit::Done),
    }
}

/// Explains a queue without one of its messages.
async fn explain_queue(
    ivy: &Ivy,
    queue: &QueueName,
    listen: &ListenOptions,
    output: &Output,
) -> Result<Exit, Failure> {
    let name = queue.as_str();
    let size = match ivy.admin().info(name).await {
        Ok(info) => info.size,
        Err(error) => return Err(queue_not_found::explain(ivy, name, error).await),
    };
    let ready = ivy.admin().peek(name, SEEN).await?.len();
    let (heard, unheard) = match listen.hear(ivy, output).await {
        Ok(heard) => (heard, None),
        Err(failure) => (None, Some(failure)),
    };
    let (ready, may_be_more) = (ready as u64, ready >= SEEN);
    let evidence = QueueEvidence { queue: queue.clone(), size, ready, may_be_more, heard };
    let explanation = Explanation::of_queue(&evidence);
    output.show(&Explained { explanation, elsewhere: None })?;
    match unheard {
        Some(failure) => note_unheard(&failure, output),
        None => Ok(Exit::Done),
    }
}

async fn of_message(ivy: &Ivy, queue: &QueueName, id: &str) -> Result<Evidence, Failure> {
    let id = MessageId::new(id);
    let found = match ivy.admin().get(queue.as_str(), &id).await {
        Ok(found) => found,
        Err(error) => return Err(queue_not_found::explain(ivy, queue.as_str(), error).await),
    };
    let ready = ivy.admin().peek(queue.as_str(), SEEN).await?;
    let place = ready.iter().position(|peeked| peeked.message == id);
    evidence(ivy, queue, found, visibility(place, ready.len())).await
}

/// Explains a body that is not looked up in a queue.
async fn of_input(ivy: &Ivy, queue: &QueueName) -> Result<Evidence, Failure> {
    // On a thread of its own, so that Ctrl-C ends the wait for the input.
    let text = tokio::task::spawn_blocking(|| io::read_to_string(io::stdin().take(MAX_BODY)));
    let unreadable = |error| Failure::local("cannot read the body", error);
    let text = text.await.map_err(io::Error::other).flatten().map_err(unreadable)?;
    let body = ReceivedBody::Text(Body::new(text.trim_end_matches(['\r', '\n'])));
    let content = ivy.admin().read(&body, queue);
    Ok(Evidence {
        queue: queue.clone(),
        description: Description::of(MessageId::new("-"), &body, &content, &Redaction::new()),
        visibility: Visibility::Unknown,
        reserved_count: None,
        size: None,
        heard: None,
        now: now(),
    })
}

fn visibility(place: Option<usize>, seen: usize) -> Visibility {
    match place {
        Some(place) => Visibility::Ready(place + 1),
        None if seen < SEEN => Visibility::NotReady,
        None => Visibility::NotAmongFirst(seen),
    }
}

async fn evidence(
    ivy: &Ivy,
    queue: &QueueName,
    found: Peeked,
    visibility: Visibility,
) -> Result<Evidence, Failure> {
    let size = ivy.admin().info(queue.as_str()).await?.size;
    let Peeked { message, reserved_count, body, content, .. } = found;
    let description = Description::of(message, &body, &content, &Redaction::new());
    let (queue, heard) = (queue.clone(), None);
    Ok(Evidence { queue, description, visibility, reserved_count, size, heard, now: now() })
}

/// A line of an explanation in JSON.
#[derive(Debug, Serialize)]
struct Record<'a> {
    kind: &'static str,
    text: &'a str,
}

struct Explained {
    explanation: Explanation,
    /// Where else a task was looked for.
    elsewhere: Option<String>,
}

impl Report for Explained {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        let Explanation { what, facts, next, .. } = &self.explanation;
        page.line(what);
        for fact in facts {
            page.line(&format!("  {fact}"));
        }
        if let Some(text) = &self.elsewhere {
            page.line(&format!("  {text}"));
        }
        for next in next {
            page.line(&format!("next: {next}"));
        }
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let Explanation { what, facts, next, .. } = &self.explanation;
        let what = [Record { kind: "what", text: what }];
        let facts =
            facts.iter().map(|fact| Record { kind: fact.certainty.as_str(), text: &fact.text });
        let elsewhere = self.elsewhere.as_deref();
        let elsewhere = elsewhere.map(|text| Record { kind: Certainty::Known.as_str(), text });
        let next = next.iter().map(|text| Record { kind: "next", text });
        what.into_iter().chain(facts).chain(elsewhere).chain(next)
    }
}
