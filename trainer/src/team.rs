//! A team of threads that stay awake while a training lasts.
//!
//! A step of training takes a millisecond, and its parts less: a thread that sleeps between them is
//! woken too late, and often on the core that is busy already. The members of a team spin instead.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Rounds of waiting without a word to the system, some tens of microseconds: longer than the part
/// of a step that one thread does alone. After them, others may have the core.
const SPINS: usize = 2_000;
/// Rounds of offering the core to others, some milliseconds where nobody wants it. After them the
/// training is held up by something else, and a wait naps.
const OFFERS: usize = 10_000;
const NAP: Duration = Duration::from_micros(200);

/// Threads that divide jobs among themselves: this one and its members.
pub(crate) struct Team<'a> {
    state: &'a State,
    /// What the job of this number is, done by any thread.
    work: &'a (dyn Fn(usize) + Sync),
    members: usize,
}

#[derive(Default)]
struct State {
    /// Counts the rounds; members wait for the next.
    round: AtomicUsize,
    /// Jobs of this round.
    jobs: AtomicUsize,
    /// The next job that nobody has taken.
    next: AtomicUsize,
    /// Members that are through with this round.
    finished: AtomicUsize,
    /// Whether a member panicked.
    failed: AtomicBool,
    /// Whether the team goes home.
    over: AtomicBool,
}

impl Team<'_> {
    /// Calls `body` with a team of `threads` threads, of which the caller's is one, that do `work`.
    /// The members end with `body`; a panic of one becomes the caller's.
    ///
    /// # Errors
    /// When the system does not give so many threads.
    pub(crate) fn with<T>(
        threads: usize,
        work: &(dyn Fn(usize) + Sync),
        body: impl FnOnce(&Team<'_>) -> T,
    ) -> io::Result<T> {
        let state = State::default();
        thread::scope(|scope| {
            // Sent home whatever happens here: the scope waits for them.
            let _home = GoHome(&state);
            let members = threads.saturating_sub(1);
            for _ in 0..members {
                thread::Builder::new().spawn_scoped(scope, || member(&state, work))?;
            }
            Ok(body(&Team { state: &state, work, members }))
        })
    }

    /// Does the jobs `0..jobs`, each once, on whichever thread is free; returns when all are done.
    pub(crate) fn run(&self, jobs: usize) {
        let state = self.state;
        state.jobs.store(jobs, Ordering::Relaxed);
        state.next.store(0, Ordering::Relaxed);
        state.finished.store(0, Ordering::Relaxed);
        // Members see what was stored before, and what the caller wrote for them, once they see it.
        state.round.fetch_add(1, Ordering::Release);
        state.work_off(self.work);
        wait_until(|| state.finished.load(Ordering::Acquire) == self.members);
        assert!(!state.failed.load(Ordering::Relaxed), "a thread of the training panicked");
    }
}

impl State {
    fn work_off(&self, work: &(dyn Fn(usize) + Sync)) {
        loop {
            let job = self.next.fetch_add(1, Ordering::Relaxed);
            if job >= self.jobs.load(Ordering::Relaxed) {
                return;
            }
            work(job);
        }
    }
}

fn member(state: &State, work: &(dyn Fn(usize) + Sync)) {
    let mut seen = 0;
    loop {
        let mut round = seen;
        wait_until(|| {
            round = state.round.load(Ordering::Acquire);
            round != seen || state.over.load(Ordering::Acquire)
        });
        if round == seen {
            return;
        }
        seen = round;
        let _finish = Finish(state);
        state.work_off(work);
    }
}

/// Reports a member as through, also when it panics: the others must not wait for it.
struct Finish<'a>(&'a State);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
        self.0.finished.fetch_add(1, Ordering::Release);
    }
}

struct GoHome<'a>(&'a State);

impl Drop for GoHome<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let mut rounds = 0;
    while !done() {
        match rounds {
            0..SPINS => std::hint::spin_loop(),
            SPINS..OFFERS => thread::yield_now(),
            _ => thread::sleep(NAP),
        }
        rounds = (rounds + 1).min(OFFERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_done_once_a_round_by_any_number_of_threads() {
        for threads in 1..=4 {
            let done: Vec<AtomicUsize> = (0..9).map(|_| AtomicUsize::new(0)).collect();
            let work = |job: usize| {
                done[job].fetch_add(1, Ordering::Relaxed);
            };
            let team = Team::with(threads, &work, |team| {
                for round in 1..=200 {
                    let jobs = round % 10;
                    let before: Vec<usize> =
                        done.iter().map(|count| count.load(Ordering::Relaxed)).collect();
                    team.run(jobs);
                    for (job, count) in done.iter().enumerate() {
                        let expected = before[job] + usize::from(job < jobs);
                        assert_eq!(count.load(Ordering::Relaxed), expected, "job {job}");
                    }
                }
            });
            team.unwrap();
        }
    }

    #[test]
    #[should_panic(expected = "a thread of the training panicked")]
    fn a_panic_of_a_member_reaches_the_caller_instead_of_hanging_it() {
        let caller = thread::current().id();
        let work = |_| {
            assert_eq!(thread::current().id(), caller, "a member");
            // Long enough for a member to take the next job.
            thread::sleep(Duration::from_millis(5));
        };
        _ = Team::with(2, &work, |team| team.run(200));
    }

    #[test]
    #[should_panic(expected = "body")]
    fn a_panic_of_the_body_sends_the_members_home() {
        _ = Team::with(3, &|_| {}, |team| {
            team.run(1);
            panic!("body");
        });
    }
}
