//! Kubernetes quantities: `700m`, `2`, `1.5k`, `1Gi`.

/// Suffixes by their factor, the longer ones first.
const SUFFIXES: [(&str, f64); 13] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("", 1.0),
];

/// The number that `text` stands for, in base units; `None` when it is not a quantity.
pub(super) fn parse(text: &str) -> Option<f64> {
    let (digits, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))?;
    let plain = digits.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    let number: f64 = digits.parse().ok().filter(|_| plain)?;
    // Dividing by 1000 rounds once, where a factor of 0.001 is itself rounded: 700m is 0.7.
    Some(if factor < 1.0 { number / factor.recip().round() } else { number * factor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, value) in
            [("700m", 0.7), ("2", 2.0), ("0.5", 0.5), ("1.5k", 1500.0), ("1Gi", 1_073_741_824.0)]
        {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "m", "0,7", "700 m", "seven", "nan", "inf", "700mm", "1KB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
