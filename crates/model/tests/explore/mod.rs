//! Every sequence of operations, as deep as is asked for.

/// Does every operation in every order from `world`, each in a world of its own. `act` says whether it could happen; what did is
/// counted in `steps`.
pub fn explore<W: Clone, O: Copy>(
    world: &W,
    ops: &[O],
    act: fn(&mut W, O) -> bool,
    depth: usize,
    steps: &mut usize,
) {
    for op in ops {
        let mut next = world.clone();
        if act(&mut next, *op) {
            *steps += 1;
            if depth > 1 {
                explore(&next, ops, act, depth - 1, steps);
            }
        }
    }
}
