package goredis

import (
	"fmt"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

// Whoever asks for a client-side cache never reads an old value for good: either the server tells the client what
// changed, or it refuses to, and the library reads without a cache.
func TestAClientSideCacheIsNeverStale(t *testing.T) {
	server := harness.Start(t)
	reader := server.Client(func(options *redis.Options) { options.ClientSideCacheConfig = &redis.ClientSideCacheConfig{} })
	writer := server.Client()
	for n := range 20 {
		value := fmt.Sprint(n)
		harness.Expect(t, writer.Set(ctx, "k", value, 0), "OK")
		harness.Eventually(t, "the reader sees "+value, func() bool { return reader.Get(ctx, "k").Val() == value })
		harness.Expect(t, reader.Get(ctx, "k"), value)
	}
	harness.Expect(t, writer.Del(ctx, "k"), 1)
	harness.Eventually(t, "the reader sees the end", func() bool { return reader.Get(ctx, "k").Err() == redis.Nil })
}

// Calls from many goroutines that the library gathers into pipelines by itself each get their own reply.
func TestCallsGatheredIntoPipelines(t *testing.T) {
	const workers, calls = 50, 100
	client, err := harness.Start(t).Client().AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			key := fmt.Sprint("counter", worker)
			for n := range calls {
				if got, err := client.Incr(ctx, key).Result(); err != nil || got != int64(n+1) {
					t.Errorf("call %d of %s: %d, %v", n, key, got, err)
					return
				}
			}
		})
	}
	group.Wait()
	harness.Expect(t, client.DBSize(ctx), workers)
}
