// Package outpost uses the store as authentik's embedded outpost does: a proxy whose sessions (gorilla's, as gob) lie in
// Redis under `authentik_proxy_session_<id>`.
//
// The commands are PING at start, without whose answer the outpost does not start, SET EX, GET and DEL; logging a subject
// out goes through KEYS, GET and DEL.
package outpost

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/gob"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/sessions"
	"github.com/redis/go-redis/v9"
)

const keyPrefix = "authentik_proxy_session_"

// store implements gorilla's sessions.Store.
type store struct {
	client  *redis.Client
	options sessions.Options
}

// newStore fails if the server does not answer. Sessions end a second after the access tokens that they hold.
func newStore(ctx context.Context, client *redis.Client, tokenLifetime time.Duration) (*store, error) {
	options := sessions.Options{Path: "/", MaxAge: int(tokenLifetime/time.Second) + 1, SameSite: http.SameSiteLaxMode}
	return &store{client: client, options: options}, client.Ping(ctx).Err()
}

// Get gives the session of a request, one and the same however often it is asked for.
func (s *store) Get(request *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(request).Get(s, name)
}

// New loads the session that the request's cookie names; without a cookie, or once it has ended, the session is new.
func (s *store) New(request *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	options := s.options
	session.Options = &options
	session.IsNew = true
	cookie, err := request.Cookie(name)
	if err != nil {
		return session, nil
	}
	session.ID = cookie.Value
	err = s.load(request.Context(), session.ID, &session.Values)
	if errors.Is(err, redis.Nil) {
		return session, nil
	}
	session.IsNew = err != nil
	return session, err
}

// Save stores a session and sends its cookie; one without any age left is deleted.
func (s *store) Save(request *http.Request, response http.ResponseWriter, session *sessions.Session) error {
	if session.Options.MaxAge <= 0 {
		if err := s.client.Del(request.Context(), keyPrefix+session.ID).Err(); err != nil {
			return err
		}
		http.SetCookie(response, sessions.NewCookie(session.Name(), "", session.Options))
		return nil
	}
	if session.ID == "" {
		session.ID = newID()
	}
	var value bytes.Buffer
	if err := gob.NewEncoder(&value).Encode(session.Values); err != nil {
		return err
	}
	lifetime := time.Duration(session.Options.MaxAge) * time.Second
	if err := s.client.Set(request.Context(), keyPrefix+session.ID, value.Bytes(), lifetime).Err(); err != nil {
		return err
	}
	http.SetCookie(response, sessions.NewCookie(session.Name(), session.ID, session.Options))
	return nil
}

// logout ends every session of a subject, in whatever outpost it began, and gives how many there were.
func (s *store) logout(ctx context.Context, subject string) (count int64, err error) {
	keys, err := s.client.Keys(ctx, keyPrefix+"*").Result()
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		values := map[any]any{}
		// A session may end, or be ended by another outpost, between KEYS and GET.
		if err := s.load(ctx, key[len(keyPrefix):], &values); errors.Is(err, redis.Nil) {
			continue
		} else if err != nil {
			return count, err
		}
		if held, ok := values[claimsValue].(claims); ok && held.Subject == subject {
			deleted, err := s.client.Del(ctx, key).Result()
			if err != nil {
				return count, err
			}
			count += deleted
		}
	}
	return count, nil
}

func (s *store) load(ctx context.Context, id string, values *map[any]any) error {
	value, err := s.client.Get(ctx, keyPrefix+id).Bytes()
	if err != nil {
		return err
	}
	return gob.NewDecoder(bytes.NewReader(value)).Decode(values)
}

func newID() string {
	raw := make([]byte, 64)
	_, _ = rand.Read(raw)
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
}
