//! What trainings share whose batches are cut into tiles: each tile has gradients of its own, which are
//! added in the order of the tiles, and each thread takes a room that is free.

use std::sync::{Mutex, MutexGuard, PoisonError};

use model::TENSORS;

/// Waits for `mutex`. A poisoned one means that a thread panicked, which the team reports.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first of `rooms` that is free; there are as many as threads.
pub(crate) fn lock_any<T>(rooms: &[Mutex<T>]) -> MutexGuard<'_, T> {
    let free = rooms.iter().find_map(|room| room.try_lock().ok());
    free.unwrap_or_else(|| lock(&rooms[0]))
}

/// Zeros in the shapes of `tensors`.
pub(crate) fn zeros(tensors: &[Vec<f32>; TENSORS]) -> [Vec<f32>; TENSORS] {
    tensors.each_ref().map(|tensor| vec![0.0; tensor.len()])
}

/// Adds `gradients` to `sum`.
pub(crate) fn add_tensors(sum: &mut [Vec<f32>; TENSORS], gradients: &[Vec<f32>; TENSORS]) {
    for (sum, gradient) in sum.iter_mut().zip(gradients) {
        sum.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
    }
}
