//! What a table of ten objects costs, and that thousands of them may be open. One test, since it counts for the whole process.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bets_engine::io::{Storage, real::Os};
use bets_engine::table::{Config, Open, Table, Wait};
use common::{ALL_KINDS, get, key, meta_of, put};

/// So many of each type: more in all than there are descriptors for reading.
const TABLES: usize = 30;
const OBJECTS: u8 = 10;

/// All tables' directories, removed at the end.
struct Base(PathBuf);

impl Drop for Base {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Descriptors of files in there.
fn descriptors(base: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = links.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    paths.filter(|path| path.starts_with(base)).count()
}

/// Resident bytes of mapped files in there.
fn mapped(base: &Path) -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut inside, mut kib) = (false, 0);
    for line in maps.lines() {
        if let Some(rss) = line.strip_prefix("Rss:") {
            let rss = rss.trim().trim_end_matches(" kB");
            kib += if inside { rss.parse::<usize>().unwrap() } else { 0 };
        } else if line
            .split_whitespace()
            .next()
            .is_some_and(|range| range.contains('-'))
        {
            inside = line.contains(base.to_str().unwrap());
        }
    }
    kib << 10
}

/// The most that one of the directories in there takes of the disk, in bytes.
fn disk(base: &Path) -> u64 {
    let blocks = |dir: PathBuf| {
        let files = std::fs::read_dir(dir).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().blocks() * 512)
            .sum()
    };
    let dirs = std::fs::read_dir(base).unwrap();
    dirs.map(|dir| blocks(dir.unwrap().path())).max().unwrap()
}

fn fill(table: &Table, round: u8) {
    for i in 0..OBJECTS {
        put(table, &[i], &[round; 100]);
    }
}

fn read(table: &Table, round: u8) {
    for i in 0..OBJECTS {
        assert_eq!(get(table, &[i]), Some(vec![round; 100]));
    }
}

#[test]
fn small_tables_are_cheap_in_memory_descriptors_and_disk() {
    let base = Base(std::env::temp_dir().join(format!("bets-small-{}", std::process::id())));
    let storage: Arc<dyn Storage> = Arc::new(Os);
    let kinds = ALL_KINDS.iter().cycle().take(TABLES * ALL_KINDS.len());
    let open_all = || -> Vec<Table> {
        let open = |(i, &kind)| {
            let config = Config {
                background: false,
                cache: false,
                ..Config::default()
            };
            let dir = base.0.join(format!("{i}"));
            Table::open(&storage, &dir, &Open::OrCreate(meta_of(kind)), config).unwrap()
        };
        kinds.clone().enumerate().map(open).collect()
    };
    let count = TABLES * ALL_KINDS.len();
    let check = |tables: &[Table], before: usize, when: &str| {
        let held = descriptors(&base.0);
        assert!(held <= 2 * count + 64, "{when}: {held} descriptors");
        let mapped = mapped(&base.0) / count;
        let each = (counting::held() - before) / count + mapped;
        println!(
            "{when}: {each} bytes a table, {mapped} of them mapped; {held} descriptors; {} bytes of disk",
            disk(&base.0)
        );
        assert!(each <= 64 << 10, "{when}: {each} bytes a table");
        let told = tables.iter().map(|table| table.stats().memory_bytes as usize);
        assert!(told.max().unwrap() <= 64 << 10);
        assert!(
            disk(&base.0) <= 256 << 10,
            "{when}: {} bytes of disk",
            disk(&base.0)
        );
    };

    let before = counting::held();
    let tables = open_all();
    for table in &tables {
        fill(table, 1);
    }
    check(&tables, before, "new");
    for table in &tables {
        table.care().unwrap();
        table.delete(key(&[0]), Wait::May).unwrap();
        fill(table, 2);
        table.care().unwrap();
    }
    check(&tables, before, "written to and synced");
    for table in &tables {
        table.close().unwrap();
    }
    drop(tables);

    let before = counting::held();
    let tables = open_all();
    let round = |i: usize| {
        if ALL_KINDS[i % ALL_KINDS.len()].is_bag() {
            None
        } else {
            Some(2)
        }
    };
    for _ in 0..2 {
        for (i, table) in tables.iter().enumerate() {
            if let Some(round) = round(i) {
                read(table, round);
            } else {
                assert_eq!(
                    table
                        .each(
                            key(&[0]),
                            Wait::May,
                            |_, _| std::ops::ControlFlow::<()>::Continue(())
                        )
                        .unwrap(),
                    None
                );
            }
        }
    }
    check(&tables, before, "read");
    for table in &tables {
        fill(table, 3);
        table.care().unwrap();
    }
    check(&tables, before, "written to again");
    for table in &tables {
        table.close().unwrap();
    }
    drop(tables);
    assert_eq!(descriptors(&base.0), 0);
}
