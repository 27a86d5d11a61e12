package cloudentity

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const refreshLifetime = 24 * time.Hour

// verdict is the answer to a refresh token.
type verdict string

const (
	rotated verdict = "rotated"
	// reused: the token had been replaced before, so it was stolen, or its successor was. The family is revoked now.
	reused  verdict = "reused"
	revoked verdict = "revoked"
	unknown verdict = "unknown"
)

// A refresh token is the name of its family (one login) and a secret of its own.
func newRefreshToken(family string) string { return family + "." + newSecret() }

func familyOf(token string) string {
	family, _, _ := strings.Cut(token, ".")
	return family
}

// familyKey holds the hash {state, subject, current}, where current is the key of the token that is in force.
func familyKey(family string) string { return "acp:{" + family + "}:family" }

// refreshKey holds the hash {state, number} of one token.
func refreshKey(token string) string { return "acp:{" + familyOf(token) + "}:rt:" + digest(token) }

// startFamily stores a login's first refresh token.
func startFamily(ctx context.Context, client *redis.Client, subject string) (string, error) {
	family := newSecret()
	token := newRefreshToken(family)
	_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.HSet(ctx, familyKey(family), "state", "active", "subject", subject, "current", refreshKey(token))
		pipe.PExpire(ctx, familyKey(family), refreshLifetime)
		pipe.HSet(ctx, refreshKey(token), "state", "active", "number", 1)
		pipe.PExpire(ctx, refreshKey(token), refreshLifetime)
		return nil
	})
	return token, err
}

// rotation is a way to replace a token by its successor, all or nothing.
type rotation struct {
	name   string
	rotate func(ctx context.Context, client *redis.Client, token, successor string) (verdict, error)
}

var rotations = []rotation{
	{name: "Lua", rotate: rotateByScript},
	{name: "WATCH", rotate: rotateByWatch},
}

// The token in force is deleted by a key that is read from the store, which Redis lets a script do.
var rotateScript = redis.NewScript(`
	local family, token, successor, lifetime = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
	local family_state = redis.call('HGET', family, 'state')
	local known = redis.call('HMGET', token, 'state', 'number')
	if not family_state or not known[1] then
		return family_state == 'revoked' and 'revoked' or 'unknown'
	end
	if family_state == 'revoked' then
		return 'revoked'
	end
	if known[1] == 'used' then
		redis.call('DEL', redis.call('HGET', family, 'current'))
		redis.call('HSET', family, 'state', 'revoked')
		return 'reused'
	end
	redis.call('HSET', token, 'state', 'used')
	redis.call('HSET', successor, 'state', 'active', 'number', known[2] + 1)
	redis.call('PEXPIRE', successor, lifetime)
	redis.call('HSET', family, 'current', successor)
	redis.call('PEXPIRE', family, lifetime)
	return 'rotated'
`)

func rotateByScript(ctx context.Context, client *redis.Client, token, successor string) (verdict, error) {
	keys := []string{familyKey(familyOf(token)), refreshKey(token), refreshKey(successor)}
	text, err := rotateScript.Run(ctx, client, keys, refreshLifetime.Milliseconds()).Text()
	return verdict(text), err
}

func rotateByWatch(ctx context.Context, client *redis.Client, token, successor string) (answer verdict, err error) {
	family, key := familyKey(familyOf(token)), refreshKey(token)
	err = optimistic(ctx, client, func(tx *redis.Tx) error {
		stored, err := tx.HGetAll(ctx, family).Result()
		if err != nil {
			return err
		}
		known, err := tx.HGetAll(ctx, key).Result()
		if err != nil {
			return err
		}
		answer = judge(stored, known)
		number, _ := strconv.Atoi(known["number"])
		if answer != rotated && answer != reused {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			if answer == reused {
				pipe.Del(ctx, stored["current"])
				pipe.HSet(ctx, family, "state", "revoked")
				return nil
			}
			pipe.HSet(ctx, key, "state", "used")
			pipe.HSet(ctx, refreshKey(successor), "state", "active", "number", number+1)
			pipe.PExpire(ctx, refreshKey(successor), refreshLifetime)
			pipe.HSet(ctx, family, "current", refreshKey(successor))
			pipe.PExpire(ctx, family, refreshLifetime)
			return nil
		})
		return err
	}, family, key)
	return answer, err
}

// judge tells what a token is worth, by its family's hash and its own.
func judge(family, token map[string]string) verdict {
	switch {
	case family["state"] == "revoked":
		return revoked
	case family["state"] == "" || token["state"] == "":
		return unknown
	case token["state"] == "used":
		return reused
	default:
		return rotated
	}
}

// lookUp tells what a token would be worth, without using it.
func lookUp(ctx context.Context, client *redis.Client, token string) (verdict, error) {
	var family, known *redis.MapStringStringCmd
	_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		family = pipe.HGetAll(ctx, familyKey(familyOf(token)))
		known = pipe.HGetAll(ctx, refreshKey(token))
		return nil
	})
	if err != nil {
		return "", err
	}
	answer := judge(family.Val(), known.Val())
	if answer == rotated && family.Val()["current"] != refreshKey(token) {
		return "", errors.New("an active token is not its family's current one")
	}
	if answer == revoked && known.Val()["state"] == "active" {
		return "", errors.New("a revoked family has an active token")
	}
	return answer, nil
}
