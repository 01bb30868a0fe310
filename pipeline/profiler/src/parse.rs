//! The kernel's text to numbers, without allocation.
//!
//! Invariant: a line counts only with its newline, and a number only when all of its field is digits, so a torn file
//! gives nothing instead of a wrong number.

/// The lines of a text; none when its last line is torn.
pub(crate) fn lines(text: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let whole = if text.is_empty() { text } else { text.strip_suffix(b"\n")? };
    Some(whole.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()))
}

/// The fields of a line, by any number of blanks.
pub(crate) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|field| !field.is_empty())
}

/// A field as a number.
///
/// | field | number |
/// |---|---|
/// | `42` | 42 |
/// | `max`, `-1`, empty, above 2^64 − 1 | none |
pub(crate) fn number(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The only number of a file.
pub(crate) fn single(text: &[u8]) -> Option<u64> {
    number(text.strip_suffix(b"\n")?)
}

/// The number of the line `<key> <number>`, whatever follows; in a text such as `cpu.stat` or `meminfo`.
pub(crate) fn keyed(text: &[u8], key: &[u8]) -> Option<u64> {
    let mut rest = text;
    // No iterator over lines: `memory.stat` has 50 of them, of which one is wanted.
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let (line, after) = rest.split_at(end);
        if let Some(value) = line.strip_prefix(key).filter(|value| value.first() == Some(&b' ')) {
            return fields(value).next().and_then(number);
        }
        rest = &after[1..];
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text of the words that the kernel uses, in any order, with the largest numbers: for parsers to survive.
    pub(crate) fn kernel_like() -> impl Strategy<Value = String> {
        const WORDS: [&str; 24] = [
            "\n",
            "\n",
            "\n",
            " ",
            " ",
            "0",
            "7",
            "18446744073709551615",
            "7:0",
            "8:0 Read ",
            "8:0 Write ",
            "Total ",
            "8:0 rbytes=18446744073709551615",
            " wbytes=18446744073709551615",
            "sda ",
            "sda1 ",
            "lo: ",
            "eth0: ",
            "cpu ",
            "cpu0 ",
            "1 (a) S ",
            "MemTotal: ",
            "Block devices:\n",
            " - cgroup \\04",
        ];
        prop::collection::vec(prop::sample::select(&WORDS[..]), 0..80).prop_map(|words| words.concat())
    }

    const CPU_STAT: &[u8] = b"usage_usec 5135838791\nuser_usec 4812922297\nsystem_usec 322916493\nnice_usec 0\n\
        nr_periods 120\nnr_throttled 7\nthrottled_usec 41000\nnr_bursts 0\nburst_usec 0\n";

    #[test]
    fn keys_are_found_whole() {
        assert_eq!(keyed(CPU_STAT, b"usage_usec"), Some(5_135_838_791));
        assert_eq!(keyed(CPU_STAT, b"nr_throttled"), Some(7));
        assert_eq!(keyed(CPU_STAT, b"usage"), None, "a part of a key is not the key");
        assert_eq!(keyed(b"MemTotal:       24684084 kB\n", b"MemTotal:"), Some(24_684_084));
    }

    #[test]
    fn a_torn_text_never_gives_a_wrong_number() {
        for length in 0..CPU_STAT.len() {
            for (key, value) in [(&b"usage_usec"[..], 5_135_838_791), (b"nr_periods", 120), (b"burst_usec", 0)] {
                assert!(keyed(&CPU_STAT[..length], key).is_none_or(|found| found == value), "cut at {length}");
            }
        }
        assert_eq!(single(b"5135838791\n"), Some(5_135_838_791));
        assert_eq!(single(b"51358"), None);
        assert_eq!(single(b""), None);
    }

    #[test]
    fn what_is_not_a_number_is_none() {
        for field in [&b"max"[..], b"-1", b"", b"12a", b"18446744073709551616", b"1.5"] {
            assert_eq!(number(field), None, "{}", String::from_utf8_lossy(field));
        }
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn a_table_with_a_torn_line_has_no_lines() {
        assert_eq!(lines(b"a 1\nb 2\n").expect("whole").count(), 2);
        assert_eq!(lines(b"").expect("whole").count(), 0);
        assert!(lines(b"a 1\nb ").is_none());
    }
}
