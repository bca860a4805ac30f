//! The decoder against every split of short inputs, long random runs, and garbage.

use super::*;

/// A source that gives its pieces one by one, and between them, if it is hesitant, says once that there is nothing yet.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    hesitant: bool,
    hesitated: bool,
    /// How often it was asked.
    calls: usize,
}

impl Pieces {
    fn new(pieces: impl IntoIterator<Item = Vec<u8>>, hesitant: bool) -> Pieces {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        Pieces { pieces, hesitant, hesitated: false, calls: 0 }
    }

    /// The bytes cut where the mask has a one.
    fn cut(bytes: &[u8], mask: u32, hesitant: bool) -> Pieces {
        let mut pieces = vec![Vec::new()];
        for (at, byte) in bytes.iter().enumerate() {
            if at > 0 && mask & (1 << ((at - 1) % 32)) != 0 {
                pieces.push(Vec::new());
            }
            pieces.last_mut().expect("one").push(*byte);
        }
        Pieces::new(pieces, hesitant)
    }
}

impl Source for Pieces {
    fn receive(&mut self, first: &mut [u8], then: &mut [u8], _: &mut Vec<OwnedFd>) -> Result<usize, Errno> {
        assert!(!first.is_empty(), "nothing is asked for");
        self.calls += 1;
        self.hesitated = self.hesitant && !self.hesitated;
        if self.hesitated {
            return Err(Errno::AGAIN);
        }
        let Some(piece) = self.pieces.front_mut() else { return Ok(0) };
        let one = piece.len().min(first.len());
        first[..one].copy_from_slice(&piece[..one]);
        let two = (piece.len() - one).min(then.len());
        then[..two].copy_from_slice(&piece[one..one + two]);
        piece.drain(..one + two);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(one + two)
    }
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit
    }
}

fn encoded(messages: &[Vec<u8>], fragment_max: usize) -> Vec<u8> {
    let all = messages.iter().flat_map(|message| fragments(message, fragment_max));
    all.flat_map(|(header, body)| [&header[..], body].concat()).collect()
}

fn again<T>(mut act: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match act() {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
}

/// How messages are read.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// With a buffer of so many bytes, in parts.
    Parts(usize),
    /// As [`Way::Parts`], by gathering.
    Gathered(usize),
    /// As [`Way::Parts`], adding to what has come.
    On(usize),
    Whole,
}

/// All messages until the end, with their boundaries.
fn messages(source: &mut Pieces, way: Way) -> Vec<Vec<u8>> {
    let mut inbox = Inbox::new(Vec::new(), Vec::new());
    let mut found = Vec::new();
    let mut current = Vec::new();
    loop {
        let (bytes, rest) = match way {
            Way::Whole => match again(|| inbox.gather(source, usize::MAX)) {
                Ok(gathered) => {
                    assert_eq!(gathered, Gathered::Whole);
                    (inbox.take(), Rest::Whole)
                }
                Err(_) => return found,
            },
            Way::Parts(size) | Way::Gathered(size) | Way::On(size) => {
                let mut buffer = vec![0; size];
                let read = match way {
                    Way::Parts(_) => again(|| inbox.read(source, &mut buffer)),
                    Way::On(_) => again(|| inbox.read_on(source, &mut buffer)),
                    _ => again(|| inbox.gather(source, size)).map(|done| inbox.give(&mut buffer, done)),
                };
                let Ok(read) = read else { return found };
                assert!(
                    read.rest == Rest::Whole || read.bytes == size,
                    "a part that did not fill the buffer"
                );
                buffer.truncate(read.bytes);
                (buffer, read.rest)
            }
        };
        current.extend(bytes);
        if rest == Rest::Whole {
            found.push(std::mem::take(&mut current));
        }
    }
}

fn through(source: &mut Pieces, size: usize) -> Vec<u8> {
    let mut inbox = Inbox::new(Vec::new(), Vec::new());
    let mut found = Vec::new();
    let mut buffer = vec![0; size];
    while let Ok(count) = again(|| inbox.read_through(source, &mut buffer)) {
        assert!(count > 0, "nothing is no news");
        found.extend(&buffer[..count]);
    }
    found
}

const WAYS: [Way; 10] = [
    Way::Whole,
    Way::Parts(1),
    Way::Parts(2),
    Way::Parts(100),
    Way::Gathered(1),
    Way::Gathered(2),
    Way::Gathered(100),
    Way::On(1),
    Way::On(2),
    Way::On(100),
];

#[test]
fn every_split_of_every_short_input_gives_the_same_messages() {
    let inputs: [&[&str]; 7] = [&[""], &["a"], &["", ""], &["ab"], &["abc"], &["", "a"], &["ab", ""]];
    for input in inputs {
        let input: Vec<Vec<u8>> = input.iter().map(|message| message.as_bytes().to_vec()).collect();
        for fragment_max in [1, 2, 100] {
            let bytes = encoded(&input, fragment_max);
            if bytes.len() > 10 {
                continue;
            }
            for mask in 0..1u32 << (bytes.len() - 1) {
                for hesitant in [false, true] {
                    for way in WAYS {
                        let found = messages(&mut Pieces::cut(&bytes, mask, hesitant), way);
                        assert_eq!(found, input, "{way:?} {mask:b} {fragment_max}");
                    }
                    let found = through(&mut Pieces::cut(&bytes, mask, hesitant), 2);
                    assert_eq!(found, input.concat(), "{mask:b} {fragment_max}");
                }
            }
        }
    }
}

#[test]
fn long_random_runs_give_what_was_written() {
    let mut random = Random(0x5e55_1000);
    for run in 0..60 {
        let mut size = 0;
        let input: Vec<Vec<u8>> = (0..random.below(40))
            .map(|number| {
                // One may be as long as the one before, so that it is expected.
                let sizes = [0, 1, 7, 4000, 8191, 9000, 20_000, 70_000, size, size, size, size];
                size = sizes[random.below(sizes.len())];
                vec![u8::try_from(number).expect("few"); size]
            })
            .collect();
        let bytes = encoded(&input, [3000, 60_000, FRAGMENT_MAX][random.below(3)]);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let most = [1, 5, 300, 5000, 100_000][random.below(5)];
            let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(most)));
            pieces.push(piece.to_vec());
            rest = behind;
        }
        let size = 1 + random.below(100_000);
        for way in [Way::Whole, Way::Parts(size), Way::Gathered(size), Way::On(size)] {
            let found = messages(&mut Pieces::new(pieces.clone(), run % 2 == 0), way);
            assert!(found == input, "run {run}, {way:?}");
        }
        assert!(through(&mut Pieces::new(pieces, run % 2 == 1), size) == input.concat(), "run {run}");
    }
}

#[test]
fn garbage_never_panics_and_takes_no_more_room_than_has_come() {
    let mut random = Random(0xbad);
    for run in 0..400 {
        let bytes: Vec<u8> = (0..random.below(600)).map(|_| [0, 0, 1, 0x7f, 0xff][random.below(5)]).collect();
        let mut inbox = Inbox::new(Vec::new(), Vec::new());
        let mut source = Pieces::cut(&bytes, u32::try_from(random.below(1 << 30)).expect("32 bits"), false);
        for _ in 0..3000 {
            let mut buffer = [0; 9];
            let ended = match run % 3 {
                0 => inbox.gather(&mut source, usize::MAX).map(|_| drop(inbox.take())),
                1 => inbox.read(&mut source, &mut buffer).map(|_| ()),
                _ => inbox.read_through(&mut source, &mut buffer).map(drop),
            };
            assert!(inbox.held.capacity() <= 2 * (GROWTH + bytes.len()), "{}", inbox.held.capacity());
            if ended.is_err() {
                break;
            }
        }
    }
}

#[test]
fn messages_as_long_as_the_two_before_take_one_call_each_and_are_not_copied() {
    let input = [1, 2, 3, 4].map(|number| vec![number; 60_000]);
    let pieces = input.each_ref().map(|message| encoded(std::slice::from_ref(message), FRAGMENT_MAX));
    for whole in [false, true] {
        let mut source = Pieces::new(pieces.clone(), false);
        let mut inbox = Inbox::new(Vec::new(), Vec::new());
        let mut buffer = vec![0; 60_000];
        for (number, message) in input.iter().enumerate() {
            let before = source.calls;
            match whole {
                true => {
                    assert_eq!(inbox.gather(&mut source, usize::MAX), Ok(Gathered::Whole));
                    assert!(inbox.take() == *message);
                }
                false => {
                    let read = inbox.read(&mut source, &mut buffer);
                    assert_eq!(read, Ok(Read { bytes: 60_000, rest: Rest::Whole }));
                    assert!(buffer == *message);
                }
            }
            // The first two are a surprise.
            assert!(number < 2 || source.calls == before + 1, "{} calls", source.calls - before);
            assert_eq!(inbox.buffered(), 0);
        }
    }
}

#[test]
fn what_comes_instead_of_a_large_message_is_kept_and_its_room_is_given_back() {
    let small: Vec<Vec<u8>> = (0..200u8).map(|number| vec![number; usize::from(number) * 7]).collect();
    for whole in [false, true] {
        let large = vec![9; 70_000];
        let pieces = [encoded(&[large.clone(), large.clone()], FRAGMENT_MAX), encoded(&small, FRAGMENT_MAX)];
        let mut source = Pieces::new(pieces, false);
        let mut inbox = Inbox::new(Vec::new(), Vec::new());
        let mut buffer = vec![0; 200_000];
        let mut next = |inbox: &mut Inbox, source: &mut Pieces| match whole {
            true => {
                assert_eq!(inbox.gather(source, usize::MAX), Ok(Gathered::Whole));
                let message = inbox.take();
                assert!(message.capacity() <= 2 * message.len(), "{}", message.capacity());
                message
            }
            false => {
                let read = inbox.read(source, &mut buffer).expect("a message");
                assert_eq!(read.rest, Rest::Whole);
                buffer[..read.bytes].to_vec()
            }
        };
        for _ in 0..2 {
            assert!(next(&mut inbox, &mut source) == large);
        }
        let mut most = 0;
        for message in &small {
            assert_eq!(next(&mut inbox, &mut source), *message);
            most = most.max(inbox.ahead.len());
        }
        assert!(most > AHEAD && most <= UNKNOWN_MAX, "{most} bytes were read ahead");
        assert!(inbox.ahead.capacity() <= AHEAD, "{}", inbox.ahead.capacity());
    }
}

/// A source with one descriptor, which comes with the last bytes.
struct Passing(Pieces, Option<OwnedFd>);

impl Source for Passing {
    fn receive(&mut self, first: &mut [u8], then: &mut [u8], to: &mut Vec<OwnedFd>) -> Result<usize, Errno> {
        let count = self.0.receive(first, then, to)?;
        to.extend(self.0.pieces.is_empty().then(|| self.1.take()).flatten());
        Ok(count)
    }
}

#[test]
fn a_descriptor_behind_a_large_message_stays_until_its_own_is_read() {
    let large = encoded(&[vec![1; 20_000], vec![1; 20_000]], FRAGMENT_MAX);
    // The last message comes in the room of the one before it, which is shorter than was expected.
    let behind = encoded(&[vec![2; 9000], vec![3; 10]], FRAGMENT_MAX);
    let descriptor = std::fs::File::open("/dev/null").expect("open").into();
    let mut source = Passing(Pieces::new([large, behind], false), Some(descriptor));
    let mut inbox = Inbox::new(Vec::new(), Vec::new());
    let mut buffer = vec![0; 70_000];
    for (length, come) in [(20_000, 0), (20_000, 0), (9000, 0), (10, 1)] {
        assert_eq!(inbox.read(&mut source, &mut buffer), Ok(Read { bytes: length, rest: Rest::Whole }));
        assert_eq!(inbox.take_descriptors().len(), come, "after {length} bytes");
    }
}

#[test]
fn a_messages_room_is_a_few_times_what_has_come_of_it_at_most() {
    const PIECE: usize = 10_000;
    let mut bytes = header(50_000_000, true).to_vec();
    bytes.resize(100 * PIECE, 7);
    let mut source = Pieces::new(bytes.chunks(PIECE).map(<[u8]>::to_vec), true);
    let mut inbox = Inbox::new(Vec::new(), Vec::new());
    while let Err(Errno::AGAIN) = inbox.gather(&mut source, usize::MAX) {
        let most = GROWTH.max(GROWTH_FACTOR * inbox.holds());
        assert!(inbox.held.capacity() <= most, "{} for {}", inbox.held.capacity(), inbox.holds());
    }
    assert_eq!(inbox.holds(), bytes.len() - HEADER);
}

#[test]
fn a_limit_is_kept_and_the_message_stays() {
    let bytes = encoded(&[vec![7; 10]], 100);
    let mut source = Pieces::new([bytes], false);
    let mut inbox = Inbox::new(Vec::new(), Vec::new());
    assert_eq!(inbox.gather(&mut source, 4), Ok(Gathered::Limit));
    assert_eq!(inbox.holds(), 4);
    assert_eq!(inbox.gather(&mut source, 9), Ok(Gathered::Limit));
    assert_eq!(inbox.gather(&mut source, 10), Ok(Gathered::Whole));
    assert_eq!(inbox.take(), [7; 10]);
}

#[test]
fn what_was_read_ahead_is_given_back_only_between_messages() {
    let bytes = encoded(&[vec![1; 3], vec![2; 3]], 100);
    let mut inbox = Inbox::new(bytes.clone(), Vec::new());
    let mut none = Pieces::new([], false);
    assert_eq!(inbox.read(&mut none, &mut [0; 3]), Ok(Read { bytes: 3, rest: Rest::Whole }));
    assert_eq!(inbox.into_rest().expect("between messages").0, bytes[7..]);
    let mut inbox = Inbox::new(bytes, Vec::new());
    assert_eq!(inbox.read(&mut none, &mut [0; 2]), Ok(Read { bytes: 2, rest: Rest::More }));
    assert!(inbox.into_rest().is_none());
}

#[test]
fn fragments_of_nothing_that_go_on_are_refused_at_once_and_for_good() {
    let flood = || Pieces::new((0..1000).map(|_| header(0, false).to_vec()), false);
    let mut inbox = Inbox::new(Vec::new(), Vec::new());
    let mut source = flood();
    for _ in 0..3 {
        assert_eq!(inbox.gather(&mut source, usize::MAX), Err(Errno::PROTO));
        assert_eq!(inbox.read(&mut source, &mut [0; 10]).unwrap_err(), Errno::PROTO);
        assert_eq!(inbox.read_through(&mut source, &mut [0; 10]), Err(Errno::PROTO));
    }
    assert_eq!(source.pieces.len(), 999, "no more than the first was read");
}

#[test]
fn they_are_refused_where_a_large_message_is_expected_too() {
    let large = vec![3; 20_000];
    let mut pieces: Vec<Vec<u8>> =
        (0..3).map(|_| encoded(std::slice::from_ref(&large), FRAGMENT_MAX)).collect();
    pieces.push([&header(0, false)[..], b"behind it"].concat());
    let mut source = Pieces::new(pieces, false);
    let mut inbox = Inbox::new(Vec::new(), Vec::new());
    let mut buffer = vec![0; 30_000];
    for _ in 0..3 {
        assert_eq!(inbox.read(&mut source, &mut buffer), Ok(Read { bytes: 20_000, rest: Rest::Whole }));
    }
    for _ in 0..3 {
        assert_eq!(inbox.read(&mut source, &mut buffer).unwrap_err(), Errno::PROTO);
        assert_eq!(inbox.gather(&mut source, usize::MAX), Err(Errno::PROTO));
    }
}
