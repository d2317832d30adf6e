//! Several pieces of work at once, each on its share of the threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use rayon::ThreadPoolBuilder;

use crate::error::{Error, Result};

/// Works on every piece, on `jobs` of them at once, and hands each result to `finished`, on the calling
/// thread and in the order the work ends. `threads` are shared out evenly, at least one a piece.
///
/// After an error, of the work or of `finished`, no piece is begun any more; `work` is told by its
/// second argument, so that it can end early.
///
/// # Errors
/// The first one met, or threads that cannot be started.
pub fn run<T: Sync, R: Send>(
    pieces: &[T],
    jobs: usize,
    threads: usize,
    work: impl Fn(&T, &AtomicBool) -> Result<R> + Sync,
    mut finished: impl FnMut(&T, R) -> Result<()>,
) -> Result<()> {
    let jobs = jobs.clamp(1, pieces.len().max(1));
    let pools = (0..jobs).map(|job| {
        // The remainder goes to the first ones.
        let share = (threads / jobs + usize::from(job < threads % jobs)).max(1);
        ThreadPoolBuilder::new()
            .num_threads(share)
            .build()
            .map_err(|e| Error::Device(format!("cannot start {share} threads: {e}")))
    });
    let pools: Vec<_> = pools.collect::<Result<_>>()?;
    let ending = AtomicBool::new(false);
    let next = Mutex::new(pieces.iter());
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for pool in &pools {
            let (sender, next, ending, work) = (sender.clone(), &next, &ending, &work);
            scope.spawn(move || {
                while !ending.load(Ordering::Relaxed) {
                    let piece = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(piece) = piece else { break };
                    let done = pool.install(|| work(piece, ending));
                    if done.is_err() {
                        ending.store(true, Ordering::Relaxed);
                    }
                    if sender.send((piece, done)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut outcome = Ok(());
        for (piece, done) in results {
            // What ended well beside the error is still finished work.
            let noted = done.and_then(|done| finished(piece, done));
            if noted.is_err() && outcome.is_ok() {
                ending.store(true, Ordering::Relaxed);
                outcome = noted;
            }
        }
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_whatever_the_number_of_jobs() {
        let pieces: Vec<usize> = (0..20).collect();
        for (jobs, threads) in [(1, 1), (3, 2), (2, 5), (50, 4)] {
            let mut done = Vec::new();
            let work = |piece: &usize, _: &AtomicBool| Ok(piece * 2);
            run(&pieces, jobs, threads, work, |&piece, double| {
                done.push((piece, double));
                Ok(())
            })
            .expect("nothing fails");
            done.sort_unstable();
            assert!(done.iter().enumerate().all(|(i, &pair)| pair == (i, 2 * i)), "{done:?}");
            assert_eq!(done.len(), 20);
        }
    }

    #[test]
    fn threads_are_shared_out() {
        let sizes = Mutex::new(Vec::new());
        // Both pieces are held until the other has begun.
        let both = std::sync::Barrier::new(2);
        let work = |_: &(), _: &AtomicBool| {
            both.wait();
            sizes.lock().expect("no panic").push(rayon::current_num_threads());
            Ok(())
        };
        run(&[(), ()], 2, 5, work, |_, ()| Ok(())).expect("nothing fails");
        let mut sizes = sizes.into_inner().expect("no panic");
        sizes.sort_unstable();
        assert_eq!(sizes, [2, 3]);
    }

    #[test]
    fn an_error_ends_the_work_and_is_returned() {
        let pieces: Vec<usize> = (0..100).collect();
        let work = |&piece: &usize, _: &AtomicBool| {
            if piece == 3 { Err(Error::Device("gone".into())) } else { Ok(()) }
        };
        let mut done = 0;
        let ended = run(&pieces, 1, 1, work, |_, ()| {
            done += 1;
            Ok(())
        });
        assert!(matches!(ended, Err(Error::Device(_))));
        assert_eq!(done, 3);
    }
}
