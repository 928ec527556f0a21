//! SAN disks for loaders that attach none: what the kernel is told, whose initial file system attaches it then.

use crate::boot::plan::{Arg, ChapLogin, SanDisk};

/// Arguments with those of a disk, by the names that Debian's open-iscsi has for them
/// (`scripts/local-top/iscsi` of its initial file system).
pub(super) fn with_disk(args: &[Arg], disk: Option<&SanDisk>) -> Result<Vec<Arg>, String> {
    let mut all = args.to_vec();
    let Some(SanDisk { target, initiator, chap }) = disk else { return Ok(all) };
    let (server, port, name) = parts(target).ok_or("the disk has no URI that a kernel can be told")?;
    let mut told =
        vec![("target_name", name), ("target_ip", server), ("target_port", port), ("target_group", "1")];
    told.extend(initiator.iter().map(|initiator| ("initiator", initiator.as_str())));
    if let Some(ChapLogin { username, password, reverse }) = chap {
        told.extend([("username", username.as_str()), ("password", password.expose())]);
        if let Some((name, secret)) = reverse {
            told.extend([("in_username", name.as_str()), ("in_password", secret.expose())]);
        }
    }
    for (name, value) in told {
        let arg = Arg::new(&format!("iscsi_{name}={value}"));
        all.push(arg.ok_or_else(|| format!("the kernel cannot be told the disk's {name} as it is"))?);
    }
    Ok(all)
}

/// Server, port and target of a URI (RFC 4173); the disk is LUN 0.
fn parts(uri: &str) -> Option<(&str, &str, &str)> {
    let rest = uri.split_once(':')?.1;
    let (server, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once("]:")?,
        None => rest.split_once(':')?,
    };
    let [_protocol, port, lun, name] = rest.splitn(4, ':').collect::<Vec<_>>().try_into().ok()?;
    let is_first = lun.chars().all(|c| matches!(c, '0' | '-'));
    is_first.then_some((server, if port.is_empty() { "3260" } else { port }, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn told(disk: &SanDisk) -> Result<String, String> {
        let args = with_disk(&[Arg::new("quiet").unwrap()], Some(disk))?;
        Ok(args.iter().map(Arg::as_str).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_kernel_is_told_its_disk_by_the_names_of_open_iscsi() {
        let disk = SanDisk {
            target: "iscsi:10.188.0.10:6:3261:0:iqn.2007-08.com.example:a:b".into(),
            initiator: Some("iqn.2007-08.com.example:web1".into()),
            chap: None,
        };
        let expected = "quiet iscsi_target_name=iqn.2007-08.com.example:a:b iscsi_target_ip=10.188.0.10 \
                        iscsi_target_port=3261 iscsi_target_group=1 iscsi_initiator=iqn.2007-08.com.example:web1";
        assert_eq!(told(&disk).unwrap(), expected);
        let secret = |text: &str| Secret::new(text.to_owned());
        let reverse = Some(("disk".to_owned(), secret("other-secret")));
        let chap = Some(ChapLogin { username: "web1".into(), password: secret("a-secret"), reverse });
        let tail = "iscsi_username=web1 iscsi_password=a-secret iscsi_in_username=disk iscsi_in_password=other-secret";
        assert!(told(&SanDisk { chap, ..disk.clone() }).unwrap().ends_with(tail));
        let chap = Some(ChapLogin { username: "web 1".into(), password: secret("a-secret"), reverse: None });
        assert!(told(&SanDisk { chap, ..disk.clone() }).unwrap_err().contains("username"));
        let uri = |target: &str| told(&SanDisk { target: target.into(), ..disk.clone() });
        assert!(
            uri("iscsi:[fe80::1]::::iqn.x:y")
                .unwrap()
                .contains("iscsi_target_ip=fe80::1 iscsi_target_port=3260")
        );
        assert!(uri("iscsi:h:::1:iqn.x:y").is_err(), "only the first unit can be told");
    }
}
