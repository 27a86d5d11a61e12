//! Memory of the machine and of the control group.

use std::path::Path;

/// Share of the machine's memory that data may take where `maxmemory` is not set: writes are refused before the
/// kernel kills.
const CEILING_PERCENT: u64 = 85;

/// Bytes that data may take where `maxmemory` is not set.
pub(crate) fn memory_ceiling() -> u64 {
    memory() / 100 * CEILING_PERCENT
}

/// Bytes that the machine has, or the control group where that is less.
pub(crate) fn memory() -> u64 {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = rustix::system::sysinfo().totalram as u64;
    limit_of_groups(&groups, Path::new("/sys/fs/cgroup")).map_or(machine, |limit| limit.min(machine))
}

/// The least limit of the groups that `groups` names (as /proc/PID/cgroup does), their ancestors included. In a container
/// the path may be the host's: then the root of the mount is the container's own group.
fn limit_of_groups(groups: &str, mount: &Path) -> Option<u64> {
    let places = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        match (fields.next()?, fields.next()?) {
            ("", path) => Some((mount.to_owned(), path, "memory.max")),
            (controllers, path) if controllers.split(',').any(|it| it == "memory") => {
                Some((mount.join("memory"), path, "memory.limit_in_bytes"))
            }
            _ => None,
        }
    });
    let limits = places.flat_map(|(root, path, file)| {
        let group = root.join(path.trim_start_matches('/'));
        let up: Vec<_> =
            group.ancestors().take_while(|it| it.starts_with(&root)).map(|it| it.join(file)).collect();
        up
    });
    limits.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_a_group_and_its_ancestors_counts() {
        let mount = std::env::temp_dir().join(format!("sessile-groups-{}", std::process::id()));
        let put = |file: &str, text: &str| {
            let file = mount.join(file);
            std::fs::create_dir_all(file.parent().expect("below the mount")).expect("a folder");
            std::fs::write(file, text).expect("a limit");
        };
        let check = |groups: &str, limit: Option<u64>| {
            assert_eq!(limit_of_groups(groups, &mount), limit, "{groups:?}");
        };
        check("0::/a/b\n", None);
        put("a/b/memory.max", "max\n");
        check("0::/a/b\n", None);
        put("a/memory.max", "1000\n");
        check("0::/a/b\n", Some(1000));
        put("a/b/memory.max", "500\n");
        check("0::/a/b\n", Some(500));
        check("0::/a\n", Some(1000));
        put("memory/c/memory.limit_in_bytes", "300\n");
        check("5:cpu,memory:/c/d\n3:pids:/e\n", Some(300));
        put("memory.max", "200\n");
        check("0::/gone/elsewhere\n", Some(200));
        std::fs::remove_dir_all(&mount).expect("the folder goes");
    }
}
