//! What an allocation really takes: the allocator's size classes, so that `used_memory` tells the truth.

/// Bytes that the allocator sets aside for a request of `bytes` (jemalloc's classes: four steps per power of two).
pub const fn allocated(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => (bytes + 15) & !15,
        _ => {
            let step = 1 << ((usize::BITS - (bytes - 1).leading_zeros()) - 3);
            (bytes + step - 1) & !(step - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::allocated;

    #[test]
    fn follows_the_size_classes() {
        let expected = [
            (0, 0),
            (1, 8),
            (9, 16),
            (17, 32),
            (128, 128),
            (129, 160),
            (160, 160),
            (161, 192),
            (256, 256),
            (257, 320),
            (1025, 1280),
            (8192, 8192),
            (8193, 10240),
        ];
        for (request, class) in expected {
            assert_eq!(allocated(request), class, "{request}");
        }
    }
}
