//! Where reading begins.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::{Past, READ_SIZE, Reader, stamp};

/// The file and the offset in it where reading begins. With no files at all it is the first, which is not there.
pub(super) fn begin(files: &[File], past: Past) -> io::Result<(usize, u64)> {
    match past {
        Past::All => Ok((0, 0)),
        Past::Last(count) => last(files, count),
        Past::Since(time) => since(files, stamp::of_time(time).as_bytes()),
    }
}

/// Goes back over line feeds from the end of the newest file. The one that ends a file ends its last line and
/// begins no further one.
fn last(files: &[File], count: usize) -> io::Result<(usize, u64)> {
    let mut wanted = count;
    for (index, file) in files.iter().enumerate().rev() {
        let size = file.metadata()?.len();
        if wanted == 0 {
            return Ok((index, size));
        }
        if size == 0 {
            continue;
        }
        if let Some(offset) = begin_of_line(file, size, wanted)? {
            return Ok((index, offset));
        }
        wanted -= lines_of(file, size)?;
        if wanted == 0 {
            return Ok((index, 0));
        }
    }
    Ok((0, 0))
}

/// Where the `wanted`th line from the end begins, if that is not the file's first line or before it.
fn begin_of_line(file: &File, size: u64, wanted: usize) -> io::Result<Option<u64>> {
    let mut left = wanted;
    let mut block = vec![0; READ_SIZE];
    let mut end = size - 1;
    while end > 0 {
        let begin = end.saturating_sub(READ_SIZE as u64);
        let part = &mut block[..(end - begin) as usize];
        file.read_exact_at(part, begin)?;
        for (index, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            left -= 1;
            if left == 0 {
                return Ok(Some(begin + index as u64 + 1));
            }
        }
        end = begin;
    }
    Ok(None)
}

/// How many lines a file has that has fewer than were wanted, or just as many.
fn lines_of(file: &File, size: u64) -> io::Result<usize> {
    let mut block = vec![0; READ_SIZE];
    let (mut offset, mut count) = (0, 1);
    while offset < size - 1 {
        let length = (size - 1 - offset).min(READ_SIZE as u64) as usize;
        file.read_exact_at(&mut block[..length], offset)?;
        count += block[..length].iter().filter(|byte| **byte == b'\n').count();
        offset += length as u64;
    }
    Ok(count)
}

/// The newest file that begins before the time, and in it the first line that does not.
fn since(files: &[File], time: &[u8]) -> io::Result<(usize, u64)> {
    let mut index = files.len().saturating_sub(1);
    while index > 0 && !begins_before(&files[index], time)? {
        index -= 1;
    }
    let Some(file) = files.get(index) else { return Ok((0, 0)) };
    let mut reader = Reader::new(file.try_clone()?, 0);
    let mut offset = 0;
    loop {
        while let Some(line) = reader.line() {
            if stamp::of_line(&line).is_some_and(|stamp| stamp >= time) {
                return Ok((index, offset));
            }
            offset += line.len() as u64 + 1;
        }
        if reader.fill()? == 0 {
            return Ok((index, file.metadata()?.len().min(offset)));
        }
    }
}

fn begins_before(file: &File, time: &[u8]) -> io::Result<bool> {
    let mut first = [0; 27];
    match file.read_exact_at(&mut first, 0) {
        Ok(()) => Ok(stamp::of_line(&first).is_some_and(|stamp| stamp < time)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
