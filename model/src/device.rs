//! Where a network is computed.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A kind of device; `cpu` is always there, the others by cargo feature.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum DeviceKind {
    /// Our own kernels; where a tensor is asked for, Burn's CPU backend.
    #[default]
    Cpu,
    /// Burn's older CPU backend, kept for comparison; feature `ndarray`.
    NdArray,
    /// Any GPU that speaks Vulkan, Metal or DirectX 12; feature `wgpu`.
    Wgpu,
}

/// Why a text is not a [`DeviceKind`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("there is no device {0:?}: expected cpu, ndarray or wgpu")]
pub struct DeviceKindError(String);

/// Why a device cannot be opened.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DeviceError {
    /// This build does not have it.
    #[error(
        "this build has no device {kind}: build with `--features {kind}`, or use the device cpu"
    )]
    NotBuilt {
        /// The device asked for; its feature has the same name.
        kind: DeviceKind,
    },
    /// The machine does not have it.
    #[error("the device {kind} is not there: {reason}; use the device cpu")]
    Unavailable {
        /// The device asked for.
        kind: DeviceKind,
        /// What the driver said.
        reason: String,
    },
}

impl DeviceKind {
    /// Whether our own kernels compute on it, rather than Burn.
    #[must_use]
    pub fn is_fused(self) -> bool {
        self == Self::Cpu
    }

    /// The name: `cpu`, `ndarray` or `wgpu`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::NdArray => "ndarray",
            Self::Wgpu => "wgpu",
        }
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeviceKind {
    type Err = DeviceKindError;

    fn from_str(text: &str) -> Result<Self, DeviceKindError> {
        [Self::Cpu, Self::NdArray, Self::Wgpu]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| DeviceKindError(text.chars().take(64).collect()))
    }
}

/// An open device.
#[derive(Clone, Debug)]
pub struct Device {
    kind: DeviceKind,
    tensors: burn::tensor::Device,
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// When this build or this machine does not have it.
    pub fn open(kind: DeviceKind) -> Result<Self, DeviceError> {
        let tensors = match kind {
            DeviceKind::Cpu => burn::tensor::Device::flex(),
            DeviceKind::NdArray => open_ndarray()?,
            DeviceKind::Wgpu => open_wgpu()?,
        };
        Ok(Self { kind, tensors })
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// The device as Burn knows it, without autodiff; for `trainer`.
    #[must_use]
    pub fn tensors(&self) -> &burn::tensor::Device {
        &self.tensors
    }
}

#[cfg(feature = "ndarray")]
#[expect(deprecated, reason = "it is kept for comparison as long as Burn has it")]
fn open_ndarray() -> Result<burn::tensor::Device, DeviceError> {
    Ok(burn::tensor::Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn open_ndarray() -> Result<burn::tensor::Device, DeviceError> {
    Err(DeviceError::NotBuilt { kind: DeviceKind::NdArray })
}

#[cfg(feature = "wgpu")]
fn open_wgpu() -> Result<burn::tensor::Device, DeviceError> {
    use std::sync::OnceLock;

    // Burn initialises its GPU runtime once a process: a second time is an error, and a first use
    // without it panics where there is no adapter.
    static OPENED: OnceLock<Result<burn::tensor::Device, String>> = OnceLock::new();
    OPENED
        .get_or_init(|| burn::tensor::Device::wgpu_options().init().map_err(|e| e.to_string()))
        .clone()
        .map_err(|reason| DeviceError::Unavailable { kind: DeviceKind::Wgpu, reason })
}

#[cfg(not(feature = "wgpu"))]
fn open_wgpu() -> Result<burn::tensor::Device, DeviceError> {
    Err(DeviceError::NotBuilt { kind: DeviceKind::Wgpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_printed() {
        for name in ["cpu", "ndarray", "wgpu"] {
            assert_eq!(name.parse::<DeviceKind>().unwrap().to_string(), name);
        }
        let error = "cuda".parse::<DeviceKind>().unwrap_err().to_string();
        assert!(error.contains("expected cpu, ndarray or wgpu"), "{error}");
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(Device::open(DeviceKind::Cpu).unwrap().kind(), DeviceKind::Cpu);
    }

    #[cfg(not(feature = "ndarray"))]
    #[test]
    fn a_device_that_was_not_built_names_its_feature() {
        let error = Device::open(DeviceKind::NdArray).unwrap_err().to_string();
        assert!(error.contains("--features ndarray"), "{error}");
    }
}
