//! Files of weights: safetensors, written whole or not at all, and read within a limit.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::weights::{Layout, Weights};

/// A file larger than this is not read: the reference network takes 0.15 MiB.
pub const ARTIFACT_BYTES_MAX: u64 = 16 << 20;
/// How the names of files that are being written begin.
const UNFINISHED_PREFIX: &str = ".model-";
/// An unfinished file that is older than this was left by a writer that is gone; a save takes
/// milliseconds.
const UNFINISHED_AGE_MAX: Duration = Duration::from_secs(3600);

/// Writes a file whole or not at all: a new one beside it, which then takes its name.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    remove_abandoned(folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED_PREFIX);
    #[cfg(unix)]
    {
        // The trainer writes as one user and the server may read as another.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o644));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    // The new name is only safe from a power cut once the folder is.
    File::open(folder)?.sync_all()
}

/// Removes old unfinished files. One that cannot be removed does no harm but take room.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX);
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|written| written.elapsed().ok());
        if unfinished && age.is_some_and(|age| age > UNFINISHED_AGE_MAX) {
            // Another writer may have removed it first.
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Reads a file of at most [`ARTIFACT_BYTES_MAX`] bytes; a larger one is refused as
/// [`io::ErrorKind::FileTooLarge`].
pub(crate) fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(ARTIFACT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > ARTIFACT_BYTES_MAX {
        let text = format!("it has more than {ARTIFACT_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Name, shape and little-endian bytes of a tensor.
pub(crate) type TensorBytes = (&'static str, Vec<usize>, Vec<u8>);

/// The contents of a file with these tensors.
pub(crate) fn serialize_tensors(
    tensors: &[TensorBytes],
    metadata: HashMap<String, String>,
) -> io::Result<Vec<u8>> {
    let views: Result<Vec<_>, _> = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect();
    views.and_then(|views| serialize(views, Some(metadata))).map_err(io::Error::other)
}

/// The tensors of a network.
pub(crate) fn tensor_bytes<C: Layout>(weights: &Weights<C>) -> impl Iterator<Item = TensorBytes> {
    weights.iter().map(|(name, shape, values)| {
        (name, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    })
}

/// The weights of a network of these sizes from a file.
pub(crate) fn read_weights<C: Layout>(
    config: C,
    file: &SafeTensors<'_>,
) -> Result<Weights<C>, String> {
    let layout = config.layout();
    if file.len() != layout.len() {
        return Err(format!("it has {} tensors instead of {}", file.len(), layout.len()));
    }
    let mut tensors = std::array::from_fn(|_| Vec::new());
    for ((name, shape), values) in layout.iter().zip(&mut tensors) {
        let tensor = file.tensor(name).map_err(|e| e.to_string())?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let (dtype, found) = (tensor.dtype(), tensor.shape());
            return Err(format!("{name} is {dtype:?} {found:?} instead of F32 {shape:?}"));
        }
        let chunks = tensor.data().as_chunks::<4>().0;
        *values = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    }
    Weights::new(config, tensors).map_err(|e| e.to_string())
}
