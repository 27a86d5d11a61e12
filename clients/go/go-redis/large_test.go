package goredis

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

// Replies that are far larger than what a socket holds: the library reads them while the server waits for it to read.
func TestLargeReplies(t *testing.T) {
	const count, size = 40, 1 << 20
	inBoth(t, func(t *testing.T, client *redis.Client) {
		want := strings.Repeat("x", size)
		var values []*redis.StringCmd
		_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for n := range count {
				pipe.Set(ctx, fmt.Sprint("large", n), want, 0)
			}
			for n := range count {
				values = append(values, pipe.Get(ctx, fmt.Sprint("large", n)))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			harness.Equal(t, "a value is whole", value.Val() == want, true)
		}

		members := make([]any, 100_000)
		for n := range members {
			members[n] = fmt.Sprintf("%0400d", n)
		}
		for batch := range slices.Chunk(members, 1000) {
			harness.Must(t, client.RPush(ctx, "list", batch...))
		}
		list := harness.Must(t, client.LRange(ctx, "list", 0, -1))
		harness.Equal(t, "the members of a reply of 40 MB", len(list), len(members))
		for n, member := range list {
			if member != members[n] {
				t.Fatalf("member %d is %.20s…", n, member)
			}
		}
	})
}
