//! SHA-256 as text, over parts whose boundaries count.

use sha2::{Digest as _, Sha256};

/// A running digest. Each part is preceded by its length, so that moving a boundary changes it.
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// 64 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_count() {
        let joined = Digest::new().part(b"ab").part(b"c").finish();
        assert_ne!(joined, Digest::new().part(b"a").part(b"bc").finish());
        assert_eq!(joined.len(), 64);
    }
}
