package goredis

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"sessile/clients/harness"
)

func TestHashes(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expectInt := harness.Expect[int64]
		type session struct {
			Subject string `redis:"sub"`
			Level   int    `redis:"acr"`
			Active  bool   `redis:"active"`
		}
		stored := session{Subject: "alice", Level: 2, Active: true}
		expectInt(t, client.HSet(ctx, "h", stored), 3)
		var loaded session
		if err := client.HGetAll(ctx, "h").Scan(&loaded); err != nil {
			t.Fatal(err)
		}
		harness.Equal(t, "the scanned hash", loaded, stored)
		harness.Expect(t, client.HGetAll(ctx, "h"), map[string]string{"sub": "alice", "acr": "2", "active": "1"})
		harness.Expect(t, client.HGetAll(ctx, "absent"), map[string]string{})
		harness.Expect(t, client.HMGet(ctx, "h", "acr", "absent"), []any{"2", nil})
		harness.Expect(t, client.HMSet(ctx, "h", "more", "x"), true)
		harness.Nothing(t, client.HGet(ctx, "h", "absent"))
		harness.Expect(t, client.HExists(ctx, "h", "sub"), true)
		harness.Expect(t, client.HSetNX(ctx, "h", "sub", "bob"), false)
		expectInt(t, client.HIncrBy(ctx, "h", "acr", 40), 42)
		harness.Expect(t, client.HIncrByFloat(ctx, "h", "f", 10.5), 10.5)
		harness.Refused(t, client.HIncrBy(ctx, "h", "sub", 1), "ERR hash value is not an integer")
		expectInt(t, client.HDel(ctx, "h", "more", "f", "absent"), 2)
		expectInt(t, client.HLen(ctx, "h"), 3)
		expectSet(t, client.HKeys(ctx, "h"), "sub", "acr", "active")
		expectSet(t, client.HVals(ctx, "h"), "alice", "42", "1")
		expectSet(t, client.HRandField(ctx, "h", 10), "sub", "acr", "active")
		expectInt(t, client.HSet(ctx, "one", "k", "v"), 1)
		harness.Expect(t, client.HRandFieldWithValues(ctx, "one", -2), []redis.KeyValue{{Key: "k", Value: "v"}, {Key: "k", Value: "v"}})

		for n := range 1000 {
			expectInt(t, client.HSet(ctx, "large", fmt.Sprint("field", n), n), 1)
		}
		found := map[string]bool{}
		for iterator := client.HScan(ctx, "large", 0, "field*", 20).Iterator(); iterator.Next(ctx); {
			found[iterator.Val()] = true
			iterator.Next(ctx)
		}
		harness.Equal(t, "fields found", len(found), 1000)
	})
}

func TestLists(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expect, expectInt := harness.Expect[string], harness.Expect[int64]
		expectInt(t, client.RPush(ctx, "l", "b", "c", "d"), 3)
		expectInt(t, client.LPush(ctx, "l", "a"), 4)
		expectInt(t, client.LPushX(ctx, "absent", "a"), 0)
		expectInt(t, client.RPushX(ctx, "l", "c"), 5)
		harness.Expect(t, client.LRange(ctx, "l", 0, -1), []string{"a", "b", "c", "d", "c"})
		harness.Expect(t, client.LRange(ctx, "l", 5, 9), []string{})
		expect(t, client.LIndex(ctx, "l", -1), "c")
		harness.Nothing(t, client.LIndex(ctx, "l", 9))
		expectInt(t, client.LPos(ctx, "l", "c", redis.LPosArgs{Rank: -1}), 4)
		harness.Nothing(t, client.LPos(ctx, "l", "z", redis.LPosArgs{}))
		harness.Expect(t, client.LPosCount(ctx, "l", "c", 0, redis.LPosArgs{}), []int64{2, 4})
		expectInt(t, client.LInsertBefore(ctx, "l", "b", "ab"), 6)
		expectInt(t, client.LInsertAfter(ctx, "l", "z", "y"), -1)
		expectInt(t, client.LRem(ctx, "l", -1, "c"), 1)
		expect(t, client.LSet(ctx, "l", 0, "A"), "OK")
		harness.Refused(t, client.LSet(ctx, "l", 9, "A"), "ERR index out of range")
		expect(t, client.LMove(ctx, "l", "m", "LEFT", "RIGHT"), "A")
		expect(t, client.RPopLPush(ctx, "l", "m"), "d")
		harness.Nothing(t, client.LMove(ctx, "absent", "m", "LEFT", "RIGHT"))
		harness.Expect(t, client.LPopCount(ctx, "m", 5), []string{"d", "A"})
		harness.Nothing(t, client.RPop(ctx, "m"))
		harness.Nothing(t, client.LPopCount(ctx, "m", 5))
		key, values, err := client.LMPop(ctx, "right", 2, "m", "l").Result()
		harness.Equal(t, "LMPOP", []any{key, values, err}, []any{"l", []string{"c", "b"}, nil})
		expect(t, client.LTrim(ctx, "l", 1, 0), "OK")
		expectInt(t, client.LLen(ctx, "l"), 0)
		expectInt(t, client.Exists(ctx, "l"), 0)
	})
}

func TestSets(t *testing.T) {
	inBoth(t, func(t *testing.T, client *redis.Client) {
		expectInt := harness.Expect[int64]
		expectInt(t, client.SAdd(ctx, "s", "a", "b", "c", "a"), 3)
		expectInt(t, client.SAdd(ctx, "t", "b", "c", "d"), 3)
		expectInt(t, client.SCard(ctx, "s"), 3)
		harness.Expect(t, client.SIsMember(ctx, "s", "a"), true)
		harness.Expect(t, client.SMIsMember(ctx, "s", "a", "z"), []bool{true, false})
		expectSet(t, client.SMembers(ctx, "s"), "a", "b", "c")
		harness.Expect(t, client.SMembersMap(ctx, "s"), map[string]struct{}{"a": {}, "b": {}, "c": {}})
		expectSet(t, client.SInter(ctx, "s", "t"), "b", "c")
		expectSet(t, client.SUnion(ctx, "s", "t"), "a", "b", "c", "d")
		expectSet(t, client.SDiff(ctx, "s", "t"), "a")
		expectInt(t, client.SInterCard(ctx, 1, "s", "t"), 1)
		expectInt(t, client.SInterStore(ctx, "i", "s", "t"), 2)
		expectInt(t, client.SUnionStore(ctx, "u", "s", "t"), 4)
		expectInt(t, client.SDiffStore(ctx, "d", "s", "s"), 0)
		expectInt(t, client.Exists(ctx, "d"), 0)
		harness.Expect(t, client.SMove(ctx, "s", "t", "a"), true)
		harness.Expect(t, client.SMove(ctx, "s", "t", "z"), false)
		expectInt(t, client.SRem(ctx, "s", "b", "z"), 1)
		harness.Expect(t, client.SRandMember(ctx, "s"), "c")
		harness.Expect(t, client.SRandMemberN(ctx, "s", -3), []string{"c", "c", "c"})
		harness.Expect(t, client.SPopN(ctx, "s", 5), []string{"c"})
		harness.Nothing(t, client.SPop(ctx, "s"))

		members := make([]any, 1000)
		for n := range members {
			members[n] = n
		}
		expectInt(t, client.SAdd(ctx, "numbers", members[:100]...), 100)
		harness.Expect(t, client.ObjectEncoding(ctx, "numbers"), "intset")
		expectInt(t, client.SAdd(ctx, "numbers", members...), 900)
		harness.Expect(t, client.ObjectEncoding(ctx, "numbers"), "hashtable")
		found := map[string]bool{}
		for iterator := client.SScan(ctx, "numbers", 0, "", 30).Iterator(); iterator.Next(ctx); {
			found[iterator.Val()] = true
		}
		harness.Equal(t, "members found", len(found), 1000)
	})
}
