package goredis

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

func TestScripts(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		// A limiter as oauth2 products have it: one script, one key.
		limiter := redis.NewScript(`
			local count = redis.call('INCR', KEYS[1])
			if count == 1 then
				redis.call('PEXPIRE', KEYS[1], ARGV[1])
			end
			return {count, redis.call('PTTL', KEYS[1]) > 0 and 1 or 0}
		`)
		harness.Expect(t, client.ScriptFlush(ctx), "OK")
		harness.Expect(t, limiter.Exists(ctx, client), []bool{false})
		harness.Refused(t, limiter.EvalSha(ctx, client, []string{"limit"}, 60000), "NOSCRIPT No matching script. Please use EVAL.")
		for n := range 3 {
			harness.Expect(t, limiter.Run(ctx, client, []string{"limit"}, 60000), any([]any{int64(n + 1), int64(1)}))
		}
		harness.Expect(t, limiter.Exists(ctx, client), []bool{true})
		harness.Expect(t, limiter.Load(ctx, client), limiter.Hash())
		harness.Expect(t, client.ScriptFlush(ctx), "OK")
		harness.Expect(t, limiter.Run(ctx, client, []string{"limit"}, 60000), any([]any{int64(4), int64(1)}))

		harness.Expect(t, client.EvalRO(ctx, "return redis.call('GET', KEYS[1])", []string{"limit"}), any("4"))
		harness.Nothing(t, client.Eval(ctx, "return redis.call('GET', 'absent')", nil))
		if err := client.EvalRO(ctx, "return redis.call('SET', KEYS[1], 1)", []string{"k"}).Err(); err == nil ||
			!strings.HasPrefix(err.Error(), "ERR Write commands are not allowed from read-only scripts.") {
			t.Fatalf("a write of EVAL_RO: %v", err)
		}
		harness.Refused(t, client.Eval(ctx, "return redis.error_reply('MYERR no')", nil), "MYERR no")
		harness.Expect(t, client.Eval(ctx, "return redis.pcall('LPUSH', KEYS[1], 1).err", []string{"limit"}),
			any("WRONGTYPE Operation against a key holding the wrong kind of value"))
		harness.Expect(t, client.Eval(ctx, "return cjson.encode({sub=ARGV[1]})", nil, "alice"), any(`{"sub":"alice"}`))
	})
}

func TestPipelines(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		var numbers []*redis.IntCmd
		commands, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for range 10_000 {
				numbers = append(numbers, pipe.Incr(ctx, "n"))
			}
			return nil
		})
		harness.Equal(t, "the pipeline", []any{len(commands), err}, []any{10_000, nil})
		for n, number := range numbers {
			harness.Expect(t, number, int64(n+1))
		}
		// An error in the middle is its command's alone.
		_, err = client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			numbers = []*redis.IntCmd{pipe.Incr(ctx, "n"), pipe.LPush(ctx, "n", "x"), pipe.Incr(ctx, "n")}
			return nil
		})
		harness.Equal(t, "the pipeline's error", err.Error(), "WRONGTYPE Operation against a key holding the wrong kind of value")
		harness.Expect(t, numbers[0], 10_001)
		harness.Expect(t, numbers[2], 10_002)
	})
}

func TestTransactions(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		var got *redis.MapStringStringCmd
		_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.HSet(ctx, "h", "a", 1)
			pipe.HIncrBy(ctx, "h", "a", 1)
			got = pipe.HGetAll(ctx, "h")
			return nil
		})
		harness.Equal(t, "the transaction's error", err, nil)
		harness.Expect(t, got, map[string]string{"a": "2"})

		// What fails when it runs does not undo the others; what fails when it is queued ends the whole.
		_, err = client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Incr(ctx, "n")
			pipe.Incr(ctx, "h")
			return nil
		})
		harness.Equal(t, "the transaction's error", err.Error(), "WRONGTYPE Operation against a key holding the wrong kind of value")
		harness.Expect(t, client.Get(ctx, "n"), "1")
		_, err = client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Incr(ctx, "n")
			pipe.Do(ctx, "NOSUCH")
			return nil
		})
		if err == nil {
			t.Fatal("a transaction with an unknown command was executed")
		}
		harness.Expect(t, client.Get(ctx, "n"), "1")

		// Another's write to a watched key, and its being deleted and made anew, end it too.
		err = client.Watch(ctx, func(tx *redis.Tx) error {
			harness.Expect(t, client.Set(ctx, "watched", "1", 0), "OK")
			harness.Expect(t, client.Del(ctx, "watched"), 1)
			_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error { return pipe.Incr(ctx, "n").Err() })
			return err
		}, "watched")
		harness.Equal(t, "the transaction failed", errors.Is(err, redis.TxFailedErr), true)
		err = client.Watch(ctx, func(tx *redis.Tx) error {
			harness.Expect(t, client.Set(ctx, "watched", "2", 0), "OK")
			harness.Expect(t, tx.Unwatch(ctx), "OK")
			_, err := tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error { return pipe.Incr(ctx, "n").Err() })
			return err
		}, "watched")
		harness.Equal(t, "the transaction's error", err, nil)
		harness.Expect(t, client.Get(ctx, "n"), "2")
	})
}

func TestManyIncrementsUnderWatchAddUp(t *testing.T) {
	const workers, increments = 10, 20
	client := harness.Start(t).Client(harness.Pool(workers))
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for done := 0; done < increments; {
				err := client.Watch(ctx, func(tx *redis.Tx) error {
					n, err := tx.Get(ctx, "n").Int()
					if err != nil && !errors.Is(err, redis.Nil) {
						return err
					}
					_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error { return pipe.Set(ctx, "n", n+1, 0).Err() })
					return err
				}, "n")
				if err == nil {
					done++
				} else if !errors.Is(err, redis.TxFailedErr) {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	group.Wait()
	harness.Expect(t, client.Get(ctx, "n"), fmt.Sprint(workers*increments))
}
