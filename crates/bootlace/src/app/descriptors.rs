//! How many files and sockets this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a full server has open: 4,096 connections with a file each, as many for TFTP transfers, and some.
/// Below it, peers that hold connections can keep others out before the limits of our own are reached.
const WANTED: u64 = 16_384;

/// Raises the soft limit to the hard one. Shells and service managers start programs with 1,024, for the sake
/// of those that use select(2), which cannot take more; none of ours does.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let now = if raised.is_ok() { maximum } else { current };
    if let Some(few) = now.filter(|&limit| limit < WANTED) {
        tracing::warn!(
            limit = few,
            wanted = WANTED,
            "few files may be open at once: raise LimitNOFILE of the service, or `ulimit -Hn`"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        raise_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
