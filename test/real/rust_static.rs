// real: build: rustc -O -C target-feature=+crt-static -o {build}/rust_static {source}
// real: run: {build}/rust_static
// real: threads: fixed
//
// A static program with eight threads, a mutex, a channel and a tree map.
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{mpsc, Arc, Mutex};
use std::{process, thread, time::Duration};

fn chain(x: u64, row: u64) -> u64 {
    x.wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407)
        .wrapping_add(row)
}

fn work(worker: usize, table: &Mutex<(u64, BTreeMap<u64, String>)>, to: &mpsc::Sender<u64>) {
    let mut step = 0;
    while !Path::new("stop").exists() {
        let mut table = table.lock().unwrap();
        let row = table.1.len() as u64;
        table.0 = chain(table.0, row);
        let x = table.0;
        table.1.insert(row, format!("{x:016x}").repeat(16));
        let line = format!("{row} {worker} {step} {x:016x}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        drop(table);
        to.send(row).unwrap();
        step += 1;
        thread::sleep(Duration::from_millis(20));
    }
}

fn main() {
    let table = Arc::new(Mutex::new((0u64, BTreeMap::new())));
    let (to, from) = mpsc::channel();
    let threads: Vec<_> = (0..7)
        .map(|worker| {
            let (table, to) = (table.clone(), to.clone());
            thread::spawn(move || work(worker, &table, &to))
        })
        .collect();
    drop(to);
    let mut seen: Vec<u64> = from.iter().collect();
    for thread in threads {
        thread.join().unwrap();
    }
    seen.sort_unstable();
    let table = table.lock().unwrap();
    let mut y = 0;
    for (row, text) in &table.1 {
        y = chain(y, *row);
        if *text != format!("{y:016x}").repeat(16) || seen[*row as usize] != *row {
            println!("row {row} is damaged");
            process::exit(1);
        }
    }
    println!("end {} {:016x}", table.1.len(), table.0);
}
