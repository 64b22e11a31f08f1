//! How much memory this process may use: the machine's, or what its control groups leave of it, as a container does.

use std::fs;
use std::path::Path;

/// Where control groups are mounted, by the convention of all distributions.
const MOUNT: &str = "/sys/fs/cgroup";

/// The bytes of memory that this process may use. Reads some files of the kernel's.
pub(crate) fn bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = info.totalram.saturating_mul(u64::from(info.mem_unit));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit(&groups, Path::new(MOUNT)).map_or(machine, |limit| limit.min(machine))
}

/// The lowest limit of the process's groups, which `groups` names as `/proc/self/cgroup` does, and of those around them; `None` if there is none.
///
/// Inside of a container the path may be that outside of it, while the mount begins at the container's own group: then the mount's root has the limit.
fn limit(groups: &str, mount: &Path) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (
            fields.next().unwrap_or_default(),
            fields.next().unwrap_or_default(),
        );
        let (roots, file): (&[&str], _) = if controllers.is_empty() {
            (&["", "unified"], "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (&["memory"], "memory.limit_in_bytes")
        } else {
            (&[], "")
        };
        let of_root = move |root: &&str| {
            let group = mount.join(root);
            let around = Path::new(path.trim_start_matches('/')).ancestors();
            let read = |path: &Path| {
                fs::read_to_string(group.join(path).join(file))
                    .ok()?
                    .trim()
                    .parse()
                    .ok()
            };
            around.filter_map(read).min()
        };
        roots.iter().filter_map(of_root)
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hierarchy of control groups in a directory.
    fn with_groups(files: &[(&str, &str)], check: impl Fn(&Path)) {
        let mount = std::env::temp_dir().join(format!("bets-ram-{}-{}", std::process::id(), files.len()));
        for (name, content) in files {
            let path = mount.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        check(&mount);
        let _ = fs::remove_dir_all(&mount);
    }

    #[test]
    fn the_lowest_limit_around_the_process_counts() {
        let files = [
            ("a/b/memory.max", "max\n"),
            ("a/memory.max", "268435456\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/c/memory.limit_in_bytes", "1000\n"),
            ("memory/c/d/memory.limit_in_bytes", "5000\n"),
        ];
        with_groups(&files, |mount| {
            let two = Some(256 << 20);
            assert_eq!(limit("0::/a/b\n", mount), two);
            assert_eq!(limit("3:cpu,cpuacct:/a\n0::/a\n", mount), two);
            assert_eq!(limit("4:memory:/c/d\n0::/\n", mount), Some(1000));
            assert_eq!(limit("4:hugetlb,memory:/c\n", mount), Some(1000));
            // The path outside of a container, whose mount shows its own group alone.
            assert_eq!(
                limit("4:memory:/docker/17\n", mount),
                Some(9_223_372_036_854_771_712)
            );
            for none in ["", "0::/\n", "0::/b\n", "3:cpu:/a\n", "nonsense", "::"] {
                assert_eq!(limit(none, mount), None, "{none}");
            }
        });
    }

    #[test]
    fn there_is_some_memory() {
        assert!(bytes() > 1 << 20);
    }
}
