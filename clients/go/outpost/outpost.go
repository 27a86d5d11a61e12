package outpost

import (
	"encoding/gob"
	"fmt"
	"io"
	"net/http"
)

// sessionName is the cookie's name: that of the application that is behind the proxy.
const sessionName = "authentik_proxy_0a1b2c3d"

// claimsValue is where a session holds what the identity provider said of its user.
const claimsValue = "claims"

type claims struct {
	Subject  string
	Email    string
	Groups   []string
	RawToken string
}

func init() { gob.Register(claims{}) }

// outpost is one proxy: /callback?sub= ends a login, /sign_out this session, /backchannel?sub= all of a subject, and
// any other path needs a session.
type outpost struct {
	store *store
}

func (o outpost) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	if err := o.serve(response, request); err != nil {
		http.Error(response, err.Error(), http.StatusInternalServerError)
	}
}

func (o outpost) serve(response http.ResponseWriter, request *http.Request) error {
	subject := request.URL.Query().Get("sub")
	if request.URL.Path == "/backchannel" {
		count, err := o.store.logout(request.Context(), subject)
		if err == nil {
			_, err = fmt.Fprint(response, count)
		}
		return err
	}
	session, err := o.store.Get(request, sessionName)
	if err != nil {
		return err
	}
	switch request.URL.Path {
	case "/callback":
		session.Values[claimsValue] = claims{Subject: subject, Email: subject + "@example.com",
			Groups: []string{"users"}, RawToken: newID() + newID() + newID()}
		return session.Save(request, response)
	case "/sign_out":
		session.Options.MaxAge = -1
		return session.Save(request, response)
	}
	held, ok := session.Values[claimsValue].(claims)
	if !ok {
		http.Error(response, "", http.StatusUnauthorized)
		return nil
	}
	_, err = io.WriteString(response, held.Subject)
	return err
}
