//! `docs/guide/first-service.md` and the examples are the same code, line by line.

use std::path::Path;

/// The Rust code of a page, a text for each block.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match &mut block {
            None if line == "```rust" => block = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(block.take()),
            Some(text) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    assert_eq!(block, None, "a block has no end");
    blocks
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_guide_to_a_first_service_shows_the_examples_as_they_are_compiled() {
    let page = read("../../docs/guide/first-service.md");
    let examples = ["examples/greeter_service.rs", "examples/greeter_client.rs"];
    // What zlink makes has no documentation, which only the lints of this workspace mind.
    let examples = examples.map(|path| read(path).replace("#![allow(missing_docs)]\n", ""));
    let shown = blocks(&page);
    assert_eq!(shown.len(), examples.len(), "every block is an example");
    for (shown, example) in shown.iter().zip(&examples) {
        let differs = shown.lines().zip(example.lines()).find(|(shown, example)| shown != example);
        assert_eq!(differs, None, "the guide and the example differ");
        assert_eq!(shown, example);
    }
}
