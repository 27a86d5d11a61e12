package goredis

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

func TestStrings(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expect, expectInt := harness.Expect[string], harness.Expect[int64]
		binary := "\x00\r\n\xff" + strings.Repeat("x", 100_000)
		expect(t, client.Set(ctx, "binary", binary, 0), "OK")
		expect(t, client.Get(ctx, "binary"), binary)
		expectInt(t, client.StrLen(ctx, "binary"), 100_004)
		harness.Nothing(t, client.Get(ctx, "absent"))
		harness.Expect(t, client.SetNX(ctx, "a", "1", time.Minute), true)
		harness.Expect(t, client.SetNX(ctx, "a", "2", time.Minute), false)
		harness.Expect(t, client.SetXX(ctx, "absent", "2", 0), false)
		expect(t, client.SetArgs(ctx, "a", "2", redis.SetArgs{Get: true, KeepTTL: true}), "1")
		harness.Nothing(t, client.SetArgs(ctx, "fresh", "2", redis.SetArgs{Get: true}))
		harness.Nothing(t, client.SetArgs(ctx, "a", "3", redis.SetArgs{Mode: "NX"}))
		if ttl := harness.Must(t, client.TTL(ctx, "a")); ttl <= 0 || ttl > time.Minute {
			t.Fatalf("the time to live is %v", ttl)
		}
		expect(t, client.GetEx(ctx, "a", 0), "2")
		harness.Expect(t, client.TTL(ctx, "a"), -1)
		harness.Expect(t, client.TTL(ctx, "absent"), -2)
		expect(t, client.GetSet(ctx, "a", "3"), "2")
		expect(t, client.GetDel(ctx, "a"), "3")
		harness.Nothing(t, client.GetDel(ctx, "a"))

		expectInt(t, client.Incr(ctx, "n"), 1)
		expectInt(t, client.IncrBy(ctx, "n", 9_223_372_036_854_775_806), 9_223_372_036_854_775_807)
		harness.Refused(t, client.Incr(ctx, "n"), "ERR increment or decrement would overflow")
		expectInt(t, client.DecrBy(ctx, "m", 7), -7)
		expectInt(t, client.Decr(ctx, "m"), -8)
		harness.Expect(t, client.IncrByFloat(ctx, "f", 0.1), 0.1)
		harness.Expect(t, client.IncrByFloat(ctx, "f", 0.2), 0.3)
		harness.Refused(t, client.Incr(ctx, "f"), "ERR value is not an integer or out of range")

		expectInt(t, client.Append(ctx, "s", "hello"), 5)
		expectInt(t, client.SetRange(ctx, "s", 7, "you"), 10)
		expect(t, client.GetRange(ctx, "s", 0, -1), "hello\x00\x00you")
		expect(t, client.GetRange(ctx, "s", 5, 2), "")
		expect(t, client.MSet(ctx, "x", "1", "y", "2"), "OK")
		harness.Expect(t, client.MSetNX(ctx, "y", "3", "z", "4"), false)
		harness.Expect(t, client.MGet(ctx, "x", "z", "y"), []any{"1", nil, "2"})
		expect(t, client.MSet(ctx, map[string]any{"one": "ohmytext", "two": "mynewtext"}), "OK")
		match := harness.Must(t, client.LCS(ctx, &redis.LCSQuery{Key1: "one", Key2: "two"}))
		harness.Equal(t, "the common subsequence", match.MatchString, "mytext")
		match = harness.Must(t, client.LCS(ctx, &redis.LCSQuery{Key1: "one", Key2: "two", Idx: true, WithMatchLen: true, MinMatchLen: 4}))
		harness.Equal(t, "the long matches", match.Matches, []redis.LCSMatchedPosition{{
			Key1: redis.LCSPosition{Start: 4, End: 7}, Key2: redis.LCSPosition{Start: 5, End: 8}, MatchLen: 4}})
		harness.Refused(t, client.LPush(ctx, "x", "1"),
			"WRONGTYPE Operation against a key holding the wrong kind of value")
	})
}

func TestKeys(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expectBool, expectInt := harness.Expect[bool], harness.Expect[int64]
		for _, key := range []string{"sso:a", "sso:b", "sso:*", "other"} {
			harness.Expect(t, client.Set(ctx, key, "1", 0), "OK")
		}
		expectSet(t, client.Keys(ctx, "sso:[ab]"), "sso:a", "sso:b")
		expectSet(t, client.Keys(ctx, `sso:\*`), "sso:*")
		expectInt(t, client.Exists(ctx, "sso:a", "sso:a", "absent"), 2)
		expectInt(t, client.Touch(ctx, "sso:a", "absent"), 1)
		expectInt(t, client.Unlink(ctx, "sso:a", "sso:b", "absent"), 2)
		expectInt(t, client.Del(ctx, "absent"), 0)
		harness.Expect(t, client.Type(ctx, "other"), "string")
		harness.Expect(t, client.Type(ctx, "absent"), "none")
		harness.Expect(t, client.Rename(ctx, "other", "renamed"), "OK")
		harness.Refused(t, client.Rename(ctx, "other", "renamed"), "ERR no such key")
		expectBool(t, client.RenameNX(ctx, "renamed", "sso:*"), false)

		end := time.Now().Add(time.Hour).Truncate(time.Second)
		expectBool(t, client.ExpireAt(ctx, "renamed", end), true)
		harness.Expect(t, client.ExpireTime(ctx, "renamed"), time.Duration(end.Unix())*time.Second)
		expectBool(t, client.ExpireNX(ctx, "renamed", time.Hour), false)
		expectBool(t, client.ExpireGT(ctx, "renamed", time.Minute), false)
		expectBool(t, client.ExpireLT(ctx, "renamed", time.Minute), true)
		expectBool(t, client.PExpireAt(ctx, "renamed", end.Add(time.Millisecond)), true)
		harness.Expect(t, client.PExpireTime(ctx, "renamed"), time.Duration(end.UnixMilli()+1)*time.Millisecond)
		expectBool(t, client.Persist(ctx, "renamed"), true)
		expectBool(t, client.Persist(ctx, "renamed"), false)
		expectBool(t, client.Expire(ctx, "renamed", -time.Second), true)
		expectInt(t, client.Exists(ctx, "renamed"), 0)

		expectInt(t, client.RPush(ctx, "list", "3", "1", "2"), 3)
		harness.Expect(t, client.ObjectEncoding(ctx, "sso:*"), "int")
		expectInt(t, client.ObjectRefCount(ctx, "list"), 1)
		payload := harness.Must(t, client.Dump(ctx, "list"))
		harness.Expect(t, client.Restore(ctx, "restored", time.Hour, payload), "OK")
		harness.Refused(t, client.Restore(ctx, "restored", 0, payload), "BUSYKEY Target key name already exists.")
		harness.Refused(t, client.Restore(ctx, "bad", 0, payload[:len(payload)-1]+"?"),
			"ERR DUMP payload version or checksum are wrong")
		harness.Expect(t, client.LRange(ctx, "restored", 0, -1), []string{"3", "1", "2"})
		harness.Expect(t, client.MSet(ctx, "weight_1", "30", "weight_2", "20", "weight_3", "10"), "OK")
		harness.Expect(t, client.Sort(ctx, "list", &redis.Sort{Order: "DESC", Count: 2}), []string{"3", "2"})
		harness.Expect(t, client.Sort(ctx, "list", &redis.Sort{By: "weight_*", Get: []string{"#", "weight_*"}}),
			[]string{"3", "10", "2", "20", "1", "30"})
		expectInt(t, client.SortStore(ctx, "list", "sorted", &redis.Sort{}), 3)
		harness.Expect(t, client.LIndex(ctx, "sorted", 0), "1")
	})
}

func TestScanFindsEveryKeyOnce(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		want := map[string]bool{}
		pairs := make([]any, 0, 2000)
		for n := range 1000 {
			key := "session:" + strings.Repeat("k", n%7) + time.Duration(n).String()
			want[key] = true
			pairs = append(pairs, key, n)
		}
		harness.Expect(t, client.MSet(ctx, pairs...), "OK")
		harness.Expect(t, client.RPush(ctx, "list", "1"), 1)
		got := map[string]bool{}
		for iterator := client.ScanType(ctx, 0, "session:*", 50, "string").Iterator(); iterator.Next(ctx); {
			got[iterator.Val()] = true
		}
		harness.Equal(t, "keys found", len(got), len(want))
		harness.Equal(t, "the keys", got, want)
		if key := harness.Must(t, client.RandomKey(ctx)); key != "list" && !want[key] {
			t.Fatalf("no such key: %q", key)
		}
	})
}

func TestBitsAndHyperLogLogs(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expectInt := harness.Expect[int64]
		expectInt(t, client.SetBit(ctx, "bits", 7, 1), 0)
		expectInt(t, client.SetBit(ctx, "bits", 7, 1), 1)
		expectInt(t, client.GetBit(ctx, "bits", 100), 0)
		harness.Expect(t, client.Set(ctx, "bits", "foobar", 0), "OK")
		expectInt(t, client.BitCount(ctx, "bits", nil), 26)
		expectInt(t, client.BitCount(ctx, "bits", &redis.BitCount{Start: 5, End: 30, Unit: redis.BitCountIndexBit}), 17)
		expectInt(t, client.BitPos(ctx, "bits", 1, 1, 2), 9)
		expectInt(t, client.BitPosSpan(ctx, "bits", 0, 8, 15, "bit"), 8)
		harness.Expect(t, client.Set(ctx, "other", "abcdef", 0), "OK")
		expectInt(t, client.BitOpAnd(ctx, "and", "bits", "other"), 6)
		harness.Expect(t, client.Get(ctx, "and"), "`bc`ab")
		expectInt(t, client.BitOpNot(ctx, "not", "bits"), 6)
		harness.Expect(t, client.Get(ctx, "not"), "\x99\x90\x90\x9d\x9e\x8d")
		harness.Expect(t, client.BitField(ctx, "field", "INCRBY", "i5", 100, 1, "OVERFLOW", "SAT", "SET", "u4", 0, 15, "GET", "u4", 0),
			[]int64{1, 0, 15})
		harness.Expect(t, client.BitFieldRO(ctx, "field", "u4", 0), []int64{15})

		visitors := make([]any, 0, 1000)
		for n := range 1000 {
			visitors = append(visitors, n)
		}
		expectInt(t, client.PFAdd(ctx, "hll", visitors...), 1)
		expectInt(t, client.PFAdd(ctx, "hll", 1, 2), 0)
		expectInt(t, client.PFAdd(ctx, "few", "a", "b"), 1)
		expectInt(t, client.PFCount(ctx, "few"), 2)
		harness.Expect(t, client.PFMerge(ctx, "all", "hll", "few"), "OK")
		// An estimate, but one that every implementation of it has in common.
		one, both := harness.Must(t, client.PFCount(ctx, "hll")), harness.Must(t, client.PFCount(ctx, "all"))
		if !slices.Contains([]int64{999, 1000, 1001}, one) || both < one || both > one+3 {
			t.Fatalf("counted %d and %d", one, both)
		}
	})
}
