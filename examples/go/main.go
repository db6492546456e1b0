// Sessions from Go, with go-redis 9: copy everything above main into your application.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
)

var r redis.UniversalClient = redis.NewClient(&redis.Options{
	Addr: "localhost:6379", Protocol: 3, MaxRetries: -1,
	DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
})

func key(user string) (string, error) {
	if user == "" || len(user) > 255 || user[0] == '{' ||
		!utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl) {
		return "", errors.New("a user is 1 to 255 bytes without control characters, and does not begin with a brace")
	}
	return "sessions:" + user, nil
}

// keyOf is the key to ask about a token. Nothing is verified here: the server does that.
func keyOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) < 3 {
		return "", errors.New("no token")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	if parts[0] == "rst1" || parts[0] == "rsr1" {
		return key(string(text))
	}
	var claims struct{ Sub any }
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		return "", err
	}
	switch user := claims.Sub.(type) {
	case string:
		return key(user)
	case json.Number:
		number, err := user.Int64()
		if err != nil {
			return "", err
		}
		return key(strconv.FormatInt(number, 10))
	}
	return "", errors.New("no user")
}

// asMap is a map, whichever protocol it came over: RESP2 sends a flat list.
func asMap(reply any) map[string]any {
	fields := map[string]any{}
	switch reply := reply.(type) {
	case map[any]any:
		for name, value := range reply {
			fields[fmt.Sprint(name)] = value
		}
	case []any:
		for i := 0; i+1 < len(reply); i += 2 {
			fields[fmt.Sprint(reply[i])] = reply[i+1]
		}
	}
	return fields
}

// isTrue takes RESP3's true and RESP2's 1.
func isTrue(value any) bool { return value == true || value == int64(1) }

func do(ctx context.Context, args ...any) (map[string]any, error) {
	reply, err := r.Do(ctx, args...).Result()
	return asMap(reply), err
}

// ask is the server's answer about a token, with the user it is of.
func ask(ctx context.Context, command, token string, options ...any) (map[string]any, error) {
	k, err := keyOf(token)
	if err != nil {
		return map[string]any{"active": false, "reason": "malformed"}, nil
	}
	answer, err := do(ctx, append([]any{command, k, token}, options...)...)
	answer["user"] = strings.TrimPrefix(k, "sessions:")
	return answer, err
}

func login(ctx context.Context, user, ip, agent string) (map[string]any, error) {
	k, err := key(user)
	if err != nil {
		return nil, err
	}
	agent = strings.Map(func(letter rune) rune {
		if unicode.IsControl(letter) {
			return -1
		}
		return letter
	}, agent)
	return do(ctx, "SESSION.CREATE", k, "IP", ip, "AGENT", fmt.Sprintf("%.128s", agent), "REFRESH", 0)
}

type sessionKey struct{}

// sessionsRequired lets requests with a live session through, and puts the session into their context.
func sessionsRequired(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			token = ""
		}
		session, err := ask(req.Context(), "SESSION.TOUCH", token)
		switch {
		case err != nil:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "Logins cannot be checked at the moment.", http.StatusServiceUnavailable)
		case !isTrue(session["active"]):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "Please log in.", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), sessionKey{}, session)))
		}
	})
}

func main() {
	ctx := context.Background()
	session, err := login(ctx, "42", "203.0.113.7", "Firefox on Linux")
	if err != nil {
		log.Fatal(err)
	}
	answer, _ := ask(ctx, "SESSION.TOUCH", session["token"].(string))
	fmt.Println(isTrue(answer["active"]), answer["user"]) // true 42
	renewed, _ := ask(ctx, "SESSION.REFRESH", session["refresh_token"].(string), "IP", "203.0.113.7")
	fmt.Println(renewed["token"] != nil, renewed["id"] == session["id"]) // true true

	devices, _ := r.Do(ctx, "SESSION.LIST", "sessions:42").Slice()
	for _, device := range devices {
		fmt.Println(asMap(device)["agent"], asMap(device)["ip"]) // Firefox on Linux 203.0.113.7
	}
	r.Do(ctx, "SESSION.SET", "sessions:42", session["id"], "cart", 17, "theme", "dark")
	stored, _ := do(ctx, "SESSION.GET", "sessions:42", session["id"])
	fmt.Println(asMap(stored["data"])) // map[cart:17 theme:dark]

	_, err = do(ctx, "SESSION.CREATE", "sessions:42", "MAX", 1, "REJECT")
	fmt.Println(redis.HasErrorPrefix(err, "SESSIONLIMIT ")) // true

	pipe := r.Pipeline()
	for _, user := range []string{"42", "43", "44"} {
		pipe.Do(ctx, "SESSION.COUNT", "sessions:"+user)
	}
	counts, _ := pipe.Exec(ctx)
	fmt.Println(counts[0].(*redis.Cmd).Val(), counts[1].(*redis.Cmd).Val()) // 1 0

	fmt.Println(r.Do(ctx, "SESSION.REVOKE", "sessions:42", session["token"]).Val()) // 1
	fmt.Println(r.Do(ctx, "SESSION.REVOKEUSER", "sessions:42").Val())               // 0
	answer, _ = ask(ctx, "SESSION.TOUCH", session["token"].(string))
	fmt.Println(isTrue(answer["active"]), answer["reason"]) // false revoked
}
