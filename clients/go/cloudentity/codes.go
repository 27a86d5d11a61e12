package cloudentity

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const codeLifetime = time.Minute

func codeKey(code string) string { return "acp:{" + digest(code) + "}:code" }

// redeemedKey records who redeemed a code, so that a second try can be told from a wrong code.
func redeemedKey(code string) string { return "acp:{" + digest(code) + "}:redeemed" }

// issueCode stores a fresh authorization code for an OAuth client.
func issueCode(ctx context.Context, client *redis.Client, oauthClient string) (string, error) {
	code := newSecret()
	isNew, err := client.SetNX(ctx, codeKey(code), oauthClient, codeLifetime).Result()
	if err == nil && !isNew {
		err = errors.New("a code was issued twice")
	}
	return code, err
}

// redeemer is a way to redeem a code: at most one attempt may ever win.
type redeemer struct {
	name string
	// keepsRecord tells whether the winning attempt is written down together with the end of the code.
	keepsRecord bool
	redeem      func(ctx context.Context, client *redis.Client, code, oauthClient, attempt string) (bool, error)
}

var redeemers = []redeemer{
	{name: "GETDEL", redeem: redeemByGetDel},
	{name: "Lua", keepsRecord: true, redeem: redeemByScript},
	{name: "WATCH", keepsRecord: true, redeem: redeemByWatch},
}

func redeemByGetDel(ctx context.Context, client *redis.Client, code, oauthClient, _ string) (bool, error) {
	owner, err := client.GetDel(ctx, codeKey(code)).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil && owner == oauthClient, err
}

var redeemScript = redis.NewScript(`
	if redis.call('GET', KEYS[1]) ~= ARGV[1] then
		return 0
	end
	redis.call('DEL', KEYS[1])
	redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
	return 1
`)

func redeemByScript(ctx context.Context, client *redis.Client, code, oauthClient, attempt string) (bool, error) {
	keys := []string{codeKey(code), redeemedKey(code)}
	won, err := redeemScript.Run(ctx, client, keys, oauthClient, attempt, codeLifetime.Milliseconds()).Int()
	return won == 1, err
}

func redeemByWatch(ctx context.Context, client *redis.Client, code, oauthClient, attempt string) (bool, error) {
	won := false
	err := client.Watch(ctx, func(tx *redis.Tx) error {
		owner, err := tx.Get(ctx, codeKey(code)).Result()
		if errors.Is(err, redis.Nil) || (err == nil && owner != oauthClient) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
			pipe.Del(ctx, codeKey(code))
			pipe.Set(ctx, redeemedKey(code), attempt, codeLifetime)
			return nil
		})
		won = err == nil
		return err
	}, codeKey(code))
	if errors.Is(err, redis.TxFailedErr) {
		// The code changed under the watch, and the only change there is is its end.
		return false, nil
	}
	return won, err
}
