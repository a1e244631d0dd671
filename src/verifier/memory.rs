//! How much memory is free on this machine: what the kernel says, and no more than what is left of the
//! limits of the control groups that the process is in.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Bytes that are free, as far as anybody knows; nothing where the kernel does not say.
pub fn free() -> Option<u64> {
    free_of(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn free_of(proc: &Path, groups: &Path) -> Option<u64> {
    let meminfo = fs::read_to_string(proc.join("meminfo")).ok()?;
    let machine = available(&meminfo)?;
    let of_group = fs::read_to_string(proc.join("self/cgroup"))
        .ok()
        .and_then(|group| left_of(groups, group_of(&group)?));
    Some(of_group.map_or(machine, |left| left.min(machine)))
}

/// `MemAvailable` in bytes: what can be had without swapping.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1 << 10)
}

/// The process's group of the second version of control groups, without the first slash.
fn group_of(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::/"))
}

/// What is left of the tightest limit of a group and those around it.
fn left_of(groups: &Path, group: &str) -> Option<u64> {
    let number =
        |file: PathBuf| -> Option<u64> { fs::read_to_string(file).ok()?.trim().parse().ok() };
    Path::new(group)
        .ancestors()
        .filter_map(|group| {
            let folder = groups.join(group);
            // Without a limit it says `max`.
            let limit = number(folder.join("memory.max"))?;
            let used = number(folder.join("memory.current"))?;
            let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            Some(limit.saturating_sub(used.saturating_sub(cached(&stat))))
        })
        .min()
}

/// Bytes of files that the kernel keeps in a group's memory until somebody else needs it.
fn cached(stat: &str) -> u64 {
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_is_what_the_machine_has_and_no_more_than_is_left_of_any_limit() {
        let folder = tempfile::tempdir().unwrap();
        let (proc, groups) = (folder.path().join("proc"), folder.path().join("groups"));
        let write = |file: PathBuf, text: &str| {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        assert_eq!(free_of(&proc, &groups), None);
        write(
            proc.join("meminfo"),
            "MemTotal:  9000 kB\nMemAvailable:    8000 kB\n",
        );
        assert_eq!(free_of(&proc, &groups), Some(8_192_000));
        write(proc.join("self/cgroup"), "0::/system.slice/adit.service\n");
        assert_eq!(free_of(&proc, &groups), Some(8_192_000));
        let service = groups.join("system.slice/adit.service");
        write(service.join("memory.max"), "max\n");
        write(service.join("memory.current"), "1000\n");
        assert_eq!(free_of(&proc, &groups), Some(8_192_000));
        write(groups.join("system.slice/memory.max"), "500000\n");
        write(groups.join("system.slice/memory.current"), "100000\n");
        assert_eq!(free_of(&proc, &groups), Some(400_000));
        write(
            groups.join("system.slice/memory.stat"),
            "anon 1\ninactive_file 70000\n",
        );
        assert_eq!(free_of(&proc, &groups), Some(470_000));
        write(service.join("memory.max"), "900\n");
        assert_eq!(free_of(&proc, &groups), Some(0));
    }

    #[test]
    fn this_machine_says_something() {
        assert!(free().is_some_and(|free| free > 1 << 20));
    }
}
