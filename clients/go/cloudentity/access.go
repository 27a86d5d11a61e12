package cloudentity

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// claims is what an access token stands for.
type claims struct {
	Subject string   `json:"sub"`
	Client  string   `json:"client_id"`
	Scopes  []string `json:"scope"`
}

func accessKey(token string) string { return "acp:at:" + digest(token) }

// issueAccess stores an opaque access token.
func issueAccess(ctx context.Context, client redis.Cmdable, token string, what claims, lifetime time.Duration) error {
	value, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return client.Set(ctx, accessKey(token), value, lifetime).Err()
}

// introspect gives a token's claims, or nil if it is not active.
func introspect(ctx context.Context, client redis.Cmdable, token string) (*claims, error) {
	value, err := client.Get(ctx, accessKey(token)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := new(claims)
	return found, json.Unmarshal(value, found)
}

// revokeAccess ends a token before its time.
func revokeAccess(ctx context.Context, client redis.Cmdable, token string) error {
	return client.Del(ctx, accessKey(token)).Err()
}
