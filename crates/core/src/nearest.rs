//! The name that somebody may have meant.

/// How many letters may be wrong in a name before a suggestion is a guess.
const DISTANCE_MAX: usize = 3;

/// Longer names are not compared: the comparison takes the product of both lengths.
const NAME_CHARS_MAX: usize = 64;

/// The candidate that `name` is most like, when it is like one at all: at most a third of its letters wrong.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = name.chars().count();
    if letters > NAME_CHARS_MAX {
        return None;
    }
    let allowed = DISTANCE_MAX.min(letters.div_ceil(3));
    candidates
        .into_iter()
        // The lengths alone tell of most that they are too far.
        .filter(|candidate| candidate.chars().count().abs_diff(letters) <= allowed)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Letters inserted, left out, replaced or swapped with a neighbour (optimal string alignment), without regard
/// to case and to `-` against `_`.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (fold(a), fold(b));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &cb) in b.iter().enumerate() {
            let mut steps = (last[j] + usize::from(ca != cb)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && ca == b[j - 1] && a[i - 1] == cb {
                steps = steps.min(before[j - 1] + 1);
            }
            row.push(steps);
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_close_and_nothing_else() {
        let names = ["serial", "asset", "board-serial", "manufacturer", "mac"];
        assert_eq!(nearest("serail", names), Some("serial"));
        assert_eq!(nearest("board_serial", names), Some("board-serial"));
        assert_eq!(nearest("Manufactuer", names), Some("manufacturer"));
        assert_eq!(nearest("mca", names), Some("mac"));
        assert_eq!(nearest("colour", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest(&"x".repeat(1000), names), None);
    }

    #[test]
    fn counts_letters() {
        for (a, b, wrong) in
            [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("a_b", "A-b", 0), ("ab", "ba", 1)]
        {
            assert_eq!(distance(a, b), wrong, "{a} {b}");
        }
    }
}
