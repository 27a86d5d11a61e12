package goredis

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

const (
	brief = 20 * time.Millisecond
	long  = time.Minute
)

type result struct {
	value any
	err   error
}

// blocking is a call that waits, in a form that shows its whole reply.
type blocking struct {
	name string
	call func(client *redis.Client, timeout time.Duration) (any, error)
	// wake gives the call what it waits for.
	wake func(client *redis.Client) error
	want any
}

var blockingCalls = []blocking{
	{"BLPOP", func(client *redis.Client, timeout time.Duration) (any, error) {
		return client.BLPop(ctx, timeout, "first", "second").Result()
	}, func(client *redis.Client) error { return client.RPush(ctx, "second", "a", "b").Err() }, []string{"second", "a"}},
	{"BRPOP", func(client *redis.Client, timeout time.Duration) (any, error) {
		return client.BRPop(ctx, timeout, "first", "second").Result()
	}, func(client *redis.Client) error { return client.RPush(ctx, "second", "a", "b").Err() }, []string{"second", "b"}},
	{"BLMOVE", func(client *redis.Client, timeout time.Duration) (any, error) {
		return client.BLMove(ctx, "first", "second", "LEFT", "RIGHT", timeout).Result()
	}, func(client *redis.Client) error { return client.LPush(ctx, "first", "a").Err() }, "a"},
	{"BRPOPLPUSH", func(client *redis.Client, timeout time.Duration) (any, error) {
		return client.BRPopLPush(ctx, "first", "second", timeout).Result()
	}, func(client *redis.Client) error { return client.LPush(ctx, "first", "a").Err() }, "a"},
	{"BLMPOP", func(client *redis.Client, timeout time.Duration) (any, error) {
		key, values, err := client.BLMPop(ctx, timeout, "right", 5, "first", "second").Result()
		return []any{key, values}, err
	}, func(client *redis.Client) error { return client.RPush(ctx, "second", "a", "b").Err() }, []any{"second", []string{"b", "a"}}},
	{"BZPOPMIN", func(client *redis.Client, timeout time.Duration) (any, error) {
		return client.BZPopMin(ctx, timeout, "first", "second").Result()
	}, func(client *redis.Client) error { return client.ZAdd(ctx, "second", z("a", 1), z("b", 2)).Err() },
		&redis.ZWithKey{Key: "second", Z: z("a", 1)}},
	{"BZPOPMAX", func(client *redis.Client, timeout time.Duration) (any, error) {
		return client.BZPopMax(ctx, timeout, "first", "second").Result()
	}, func(client *redis.Client) error { return client.ZAdd(ctx, "second", z("a", 1), z("b", 2.5)).Err() },
		&redis.ZWithKey{Key: "second", Z: z("b", 2.5)}},
	{"BZMPOP", func(client *redis.Client, timeout time.Duration) (any, error) {
		key, members, err := client.BZMPop(ctx, timeout, "min", 5, "first", "second").Result()
		return []any{key, members}, err
	}, func(client *redis.Client) error { return client.ZAdd(ctx, "second", z("a", 1), z("b", 2)).Err() },
		[]any{"second", []redis.Z{z("a", 1), z("b", 2)}}},
	{"XREAD", func(client *redis.Client, timeout time.Duration) (any, error) {
		return client.XRead(ctx, &redis.XReadArgs{Streams: []string{"first", "s", "$", "$"}, Block: timeout}).Result()
	}, func(client *redis.Client) error {
		return client.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "7-0", Values: []any{"id", "7-0"}}).Err()
	}, []redis.XStream{{Stream: "s", Messages: messages("7-0")}}},
	{"XREADGROUP", func(client *redis.Client, timeout time.Duration) (any, error) {
		client.XGroupCreateMkStream(ctx, "s", "g", "0")
		return client.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"s", ">"}, Block: timeout}).Result()
	}, func(client *redis.Client) error {
		return client.XAdd(ctx, &redis.XAddArgs{Stream: "s", ID: "7-0", Values: []any{"id", "7-0"}}).Err()
	}, []redis.XStream{{Stream: "s", Messages: messages("7-0")}}},
}

func TestBlockingCallsTimeOut(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		// A second is the shortest time-out that the library sends for each of them.
		results := make([]result, len(blockingCalls))
		var group sync.WaitGroup
		for n, blocking := range blockingCalls {
			group.Go(func() { results[n].value, results[n].err = blocking.call(client, time.Second) })
		}
		group.Wait()
		for n, blocking := range blockingCalls {
			if !errors.Is(results[n].err, redis.Nil) {
				t.Fatalf("%s without anything to get: %v", blocking.name, results[n])
			}
		}
		harness.Nothing(t, client.Do(ctx, "BLPOP", "first", brief.Seconds()))
		harness.Refused(t, client.Do(ctx, "BLPOP", "first", -1), "ERR timeout is negative")
		harness.Refused(t, client.Do(ctx, "BLPOP", "first", "soon"), "ERR timeout is not a float or out of range")
		awaitBlocked(t, client, 0)
	})
}

func TestBlockingCallsAreWoken(t *testing.T) {
	for _, blocking := range blockingCalls {
		t.Run(blocking.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, client *redis.Client) {
				ended := make(chan result, 1)
				go func() {
					value, err := blocking.call(client, long)
					ended <- result{value, err}
				}()
				awaitBlocked(t, client, 1)
				if err := blocking.wake(client); err != nil {
					t.Fatal(err)
				}
				harness.Equal(t, "the reply", <-ended, result{blocking.want, nil})
				awaitBlocked(t, client, 0)
			})
		})
	}
}

func TestWaitersAreServedInTheirOrder(t *testing.T) {
	const waiters = 20
	server := harness.Start(t)
	client := server.Client(harness.Pool(waiters + 1))
	got := make([]string, waiters)
	var group sync.WaitGroup
	for n := range waiters {
		group.Go(func() {
			if pair, err := client.BLPop(ctx, long, "jobs").Result(); err == nil {
				got[n] = pair[1]
			}
		})
		awaitBlocked(t, client, n+1)
	}
	var jobs []any
	var want []string
	for n := range waiters {
		job := string(rune('a' + n))
		jobs, want = append(jobs, job), append(want, job)
	}
	// In one push, in a transaction and in a script.
	harness.Expect(t, client.RPush(ctx, "jobs", jobs[:5]...), 5)
	_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.RPush(ctx, "jobs", jobs[5:8]...)
		pipe.RPush(ctx, "jobs", jobs[8:10]...)
		return nil
	})
	harness.Equal(t, "the transaction's error", err, nil)
	harness.Expect(t, client.Eval(ctx, "return redis.call('RPUSH', KEYS[1], unpack(ARGV))", []string{"jobs"}, jobs[10:]...), any(int64(10)))
	group.Wait()
	harness.Equal(t, "the jobs by waiter", got, want)
}

func TestABlockedCallIsGivenUp(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		// By the caller: the library closes the connection, and the server forgets the wish.
		impatient, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		giving := redis.NewClient(&redis.Options{Addr: client.Options().Addr, ContextTimeoutEnabled: true, MaxRetries: -1})
		defer giving.Close()
		if err := giving.BLPop(impatient, long, "jobs").Err(); err == nil || errors.Is(err, redis.Nil) {
			t.Fatalf("given up: %v", err)
		}
		awaitBlocked(t, client, 0)
		harness.Expect(t, client.RPush(ctx, "jobs", "kept"), 1)
		harness.Expect(t, client.LLen(ctx, "jobs"), 1)

		// By another client: CLIENT UNBLOCK, in both of its ways.
		for name, want := range map[string]string{"TIMEOUT": "redis: nil", "ERROR": "UNBLOCKED client unblocked via CLIENT UNBLOCK"} {
			conn := client.Conn()
			id := harness.Must(t, conn.ClientID(ctx))
			ended := make(chan error, 1)
			go func() { ended <- conn.BLPop(ctx, long, "nothing").Err() }()
			awaitBlocked(t, client, 1)
			harness.Expect(t, client.Do(ctx, "CLIENT", "UNBLOCK", id, name), any(int64(1)))
			harness.Equal(t, "the blocked call's end", (<-ended).Error(), want)
			_ = conn.Close()
		}
	})
}
