//! The tests that `guides/testing.md` shows.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::error::Error;
use std::time::Duration;

use ivy_tokio::testing::{CancelReason, TestFailureKind, TestWorker};
use ivy_tokio::{CallOptions, Ctx, DeadLetterReason, Ivy, Task, TaskError};

const IMPORT: Task<(String,), u64> = Task::new("shop.import").queue("shop").max_retries(2);
const MAIL: Task<(String, u64), ()> = Task::new("mail.imported").queue("mail");

/// Imports the lines of a file, and mails how many there were.
async fn import(ctx: Ctx, file: String) -> Result<u64, TaskError> {
    if file.is_empty() {
        return Err(TaskError::fatal("the file is empty"));
    }
    if file.starts_with("busy") && ctx.attempt() == 1 {
        return Err(TaskError::new("the disk is busy"));
    }
    if file.starts_with("slow") {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    let lines = file.lines().count() as u64;
    ctx.ivy().send(&MAIL, ("shop@example.org".to_owned(), lines)).await?;
    Ok(lines)
}

#[tokio::test(start_paused = true)]
async fn a_busy_disk_costs_an_attempt() -> ivy_tokio::Result<()> {
    let ivy = Ivy::connect("memory://")?;
    let _worker = ivy.worker().register(&IMPORT, import).start().await?;
    let handle = ivy.call(&IMPORT, ("busy\nfile".to_owned(),)).await?;
    assert_eq!(handle.result(Duration::from_secs(60)).await?, 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_import_may_be_delayed_until_tomorrow() -> ivy_tokio::Result<()> {
    let ivy = Ivy::connect("memory://")?;
    let _worker = ivy.worker().register(&IMPORT, import).start().await?;
    let (begun, day) = (tokio::time::Instant::now(), Duration::from_secs(24 * 60 * 60));
    let options = CallOptions::new().delay(day);
    let handle = ivy.call_with(&IMPORT, ("file".to_owned(),), options).await?;
    assert_eq!(handle.result(2 * day).await?, 1);
    assert!(begun.elapsed() >= day);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_import_leaves_nothing_in_its_queue() -> ivy_tokio::Result<()> {
    let ivy = Ivy::connect("memory://")?;
    let worker = ivy.worker().register(&IMPORT, import).start().await?;
    let handle = ivy.call(&IMPORT, ("file".to_owned(),)).await?;
    assert_eq!(handle.result(Duration::from_secs(60)).await?, 1);
    worker.drain(Duration::from_secs(8)).await;
    assert_eq!(ivy.admin().info("shop").await?.size, Some(0));
    Ok(())
}

#[tokio::test]
async fn an_import_mails_the_number_of_lines() -> Result<(), Box<dyn Error>> {
    let test = TestWorker::new()?.register(&IMPORT, import);
    assert_eq!(test.run(&IMPORT, ("one\ntwo".to_owned(),)).await?, 2);
    assert_eq!(test.calls_of(&MAIL)?, [("shop@example.org".to_owned(), 2)]);
    Ok(())
}

#[tokio::test]
async fn an_empty_file_is_not_imported_again() -> Result<(), Box<dyn Error>> {
    let test = TestWorker::new()?.register(&IMPORT, import);
    let failure = test.run(&IMPORT, (String::new(),)).await.unwrap_err();
    assert_eq!(failure.message(), "the file is empty");
    assert_eq!(failure.dead_letter_reason(), Some(DeadLetterReason::Fatal));
    Ok(())
}

#[tokio::test]
async fn a_busy_disk_is_no_longer_busy_in_the_second_attempt() -> Result<(), Box<dyn Error>> {
    let test = TestWorker::new()?.register(&IMPORT, import);
    let busy = || ("busy".to_owned(),);
    assert!(test.run(&IMPORT, busy()).await.unwrap_err().is_retried());
    assert_eq!(test.attempt(2).run(&IMPORT, busy()).await?, 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_import_that_is_cancelled_mails_nothing() -> Result<(), Box<dyn Error>> {
    let test = TestWorker::new()?.register(&IMPORT, import).cancel_after(Duration::from_secs(5));
    let failure = test.run(&IMPORT, ("slow".to_owned(),)).await.unwrap_err();
    assert_eq!(failure.kind(), TestFailureKind::Cancelled(CancelReason::LeaseLost));
    assert!(test.calls().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_handler_is_a_function() -> Result<(), Box<dyn Error>> {
    let ctx = Ctx::for_test(&IMPORT).attempt(2).build()?;
    assert_eq!(import(ctx, "busy".to_owned()).await?, 1);
    Ok(())
}

/// A part of the program that connects by itself.
async fn upload(queue_url: &str, file: &str) -> ivy_tokio::Result<()> {
    let ivy = Ivy::connect(queue_url)?;
    ivy.send(&IMPORT, (file.to_owned(),)).await?;
    Ok(())
}

#[tokio::test]
async fn an_upload_is_to_be_imported() -> ivy_tokio::Result<()> {
    // The memory is dropped with its last Ivy, so the test keeps one.
    let ivy = Ivy::connect("memory://upload")?;
    upload("memory://upload", "file").await?;
    assert_eq!(ivy.admin().info("shop").await?.size, Some(1));
    Ok(())
}
