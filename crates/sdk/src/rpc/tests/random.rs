//! Bytes from anybody: nothing panics, and every end has a reason.

use super::*;

/// A generator whose runs a seed repeats (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a length")
    }
}

const CALLS: [&str; 6] = [
    r#"{"method":"org.example.Test.Add","parameters":{"first":1,"second":2}}"#,
    r#"{"method":"org.example.Test.Count","parameters":{"to":3},"more":true}"#,
    r#"{"method":"org.varlink.service.GetInfo"}"#,
    r#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"org.example.Test"}}"#,
    r#"{"method":"org.example.Test.Fail","parameters":{"empty":true},"oneway":true}"#,
    r#"{"method":"org.example.Test.Nothing","upgrade":true}"#,
];

const ANSWERS: [&str; 4] = [
    r#"{"parameters":{"number":1}}"#,
    r#"{"parameters":{"number":1},"continues":true}"#,
    r#"{"error":"org.example.Test.Empty"}"#,
    r#"{"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"a"}}"#,
];

/// A few messages, some with bytes changed, left out or put in, or nothing but noise.
fn messages(random: &mut Random, of: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(4) {
        let mut message = of[random.below(of.len())].as_bytes().to_vec();
        message.push(0);
        for _ in 0..random.below(4) {
            let at = random.below(message.len());
            let byte = random.next().to_le_bytes()[0];
            match random.below(4) {
                0 => message[at] = byte,
                1 => message.insert(at, byte),
                2 => message.truncate(at.max(1)),
                _ => message[at] = b"{}[]\",:\0"[random.below(8)],
            }
        }
        bytes.extend(message);
    }
    bytes
}

#[test]
fn random_bytes_never_panic_a_service() {
    run(async {
        let mut random = Random(1);
        for round in 0..2000 {
            let bytes = messages(&mut random, &CALLS);
            let (mut stream, serving) = served(Limits::default(), &Rc::default());
            stream.write_all(&bytes).await.expect("send");
            stream.shutdown().await.expect("shut down");
            let mut answers = Vec::new();
            let _ = stream.read_to_end(&mut answers).await;
            let end = serving.await.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert!(matches!(end, End::Closed | End::Garbage(_)), "round {round}: {end}");
            for answer in answers.split(|byte| *byte == 0).filter(|answer| !answer.is_empty()) {
                let answer: Value = serde_json::from_slice(answer).expect("an answer is JSON");
                assert!(answer.is_object(), "round {round}: {answer}");
            }
        }
    });
}

#[test]
fn random_bytes_never_panic_a_client() {
    run(async {
        let mut random = Random(2);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..2000 {
            let bytes = messages(&mut random, &ANSWERS);
            let (client, mut server) = UnixStream::pair().expect("a pair");
            let answering = tokio::task::spawn_local(async move {
                hear(&mut server).await.expect("a call");
                let _ = server.write_all(&bytes).await;
            });
            let mut client = over(client);
            let mut answers = client.call_more("org.example.Test.Count", Value::Null).await.expect("a call");
            while let Some(answer) = answers.next().await {
                match answer {
                    Ok(_) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
            answering.await.expect("no panic");
        }
        assert!(taken > 100 && refused > 100, "both are tried: {taken} and {refused}");
    });
}
