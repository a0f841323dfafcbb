//! A thread of its own for heavy work, so that no async thread ever waits for arithmetic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use thiserror::Error;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait for the thread; one a workload and cycle is the most that is useful.
const QUEUE_MAX: usize = 1024;

/// A named thread that runs jobs one after another. Dropping it waits for the job under way.
#[derive(Debug)]
pub(crate) struct ComputeThread {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a job has no result.
#[derive(Debug, Error)]
pub(crate) enum ComputeError {
    /// The queue is full.
    #[error("the compute thread has {QUEUE_MAX} jobs waiting: too many workloads for this machine")]
    Full,
    /// The thread has ended.
    #[error("the compute thread has ended")]
    Gone,
    /// The job panicked; the thread goes on.
    #[error("the computation failed: {0}")]
    Panicked(String),
}

impl ComputeThread {
    /// Starts a thread named `name`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(name: &str) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE_MAX);
        let thread =
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&queue))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` on the thread and waits for its result without blocking.
    ///
    /// # Errors
    /// When the thread is overloaded or gone, or `work` panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                ComputeError::Panicked(text.unwrap_or("a panic without a message").to_owned())
            });
            // Nobody waits any more when the asking task was cancelled.
            let _ = reply.send(result);
        });
        let jobs = self.jobs.as_ref().ok_or(ComputeError::Gone)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => ComputeError::Full,
            TrySendError::Disconnected(_) => ComputeError::Gone,
        })?;
        answer.await.map_err(|_| ComputeError::Gone)?
    }
}

impl Drop for ComputeThread {
    fn drop(&mut self) {
        self.jobs = None;
        // A job may hold the last owner of its own thread, which cannot wait for itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // The thread catches the panics of its jobs, so it ends without one.
            let _ = thread.join();
        }
    }
}

fn run(queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        job();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_and_the_thread_goes_on() {
        let compute = ComputeThread::start("test").unwrap();
        let panicked = compute.run(|| panic!("out of {}", "numbers")).await.map(|()| 0);
        assert!(matches!(panicked, Err(ComputeError::Panicked(text)) if text == "out of numbers"));
        assert_eq!(compute.run(|| 6 * 7).await.unwrap(), 42);
    }

    #[tokio::test]
    async fn async_work_goes_on_while_the_thread_computes() {
        let compute = ComputeThread::start("test").unwrap();
        let (release, held) = sync_channel::<()>(0);
        let job = compute.run(move || held.recv().is_ok());
        let other = async { release.send(()).is_ok() };
        let (job, other) = tokio::join!(job, other);
        assert!(job.unwrap() && other);
    }
}
