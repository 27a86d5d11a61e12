package cloudentity

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const sessionLifetime = time.Hour

// A session lies beside its subject's index, so that both are changed together.
func sessionKey(subject, id string) string { return "acp:{" + subject + "}:session:" + digest(id) }

// indexKey holds a subject's session keys, each with the millisecond at which it ends.
func indexKey(subject string) string { return "acp:{" + subject + "}:sessions" }

func member(key string, end time.Time) redis.Z {
	return redis.Z{Score: float64(end.UnixMilli()), Member: key}
}

// openSession stores a session and its place in the index in one transaction.
func openSession(ctx context.Context, client *redis.Client, subject, id string, lifetime time.Duration) error {
	key, end := sessionKey(subject, id), time.Now().Add(lifetime)
	_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.HSet(ctx, key, "sub", subject, "amr", "pwd", "auth_time", time.Now().Unix())
		pipe.PExpireAt(ctx, key, end)
		pipe.ZAdd(ctx, indexKey(subject), member(key, end))
		return nil
	})
	return err
}

// A session that has ended must not get its place in the index back.
var touchScript = redis.NewScript(`
	if redis.call('PEXPIREAT', KEYS[1], ARGV[1]) == 0 then
		return 0
	end
	redis.call('ZADD', KEYS[2], 'XX', ARGV[1], KEYS[1])
	return 1
`)

// touchSession gives a session its full lifetime again, and says whether it was still there.
func touchSession(ctx context.Context, client *redis.Client, subject, id string, lifetime time.Duration) (bool, error) {
	keys := []string{sessionKey(subject, id), indexKey(subject)}
	return touchScript.Run(ctx, client, keys, time.Now().Add(lifetime).UnixMilli()).Bool()
}

// closeSession ends one session.
func closeSession(ctx context.Context, client *redis.Client, subject, id string) error {
	_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Del(ctx, sessionKey(subject, id))
		pipe.ZRem(ctx, indexKey(subject), sessionKey(subject, id))
		return nil
	})
	return err
}

// sessionKeys gives the keys of a subject's sessions, without those whose time has come.
func sessionKeys(ctx context.Context, client *redis.Client, subject string) ([]string, error) {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	var keys *redis.StringSliceCmd
	_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.ZRemRangeByScore(ctx, indexKey(subject), "-inf", now)
		keys = pipe.ZRange(ctx, indexKey(subject), 0, -1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys.Val(), nil
}

// revocation is a way to end all of a subject's sessions; it gives how many there were.
type revocation struct {
	name      string
	revokeAll func(ctx context.Context, client *redis.Client, subject string) (int, error)
}

var revocations = []revocation{
	{name: "Lua", revokeAll: revokeAllByScript},
	{name: "WATCH", revokeAll: revokeAllByWatch},
}

var revokeAllScript = redis.NewScript(`
	local count = 0
	for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
		count = count + redis.call('DEL', key)
	end
	redis.call('DEL', KEYS[1])
	return count
`)

func revokeAllByScript(ctx context.Context, client *redis.Client, subject string) (int, error) {
	return revokeAllScript.Run(ctx, client, []string{indexKey(subject)}).Int()
}

func revokeAllByWatch(ctx context.Context, client *redis.Client, subject string) (count int, err error) {
	index := indexKey(subject)
	err = optimistic(ctx, client, func(tx *redis.Tx) error {
		keys, err := tx.ZRange(ctx, index, 0, -1).Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		var deleted *redis.IntCmd
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			deleted = pipe.Del(ctx, keys...)
			pipe.Del(ctx, index)
			return nil
		})
		count = int(deleted.Val())
		return err
	}, index)
	return count, err
}
