package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"deputize.dev/tests/upstream/internal/protocol"
)

// answer is a line of output.
type answer struct {
	Impersonation string            `json:"impersonation"`
	Mode          *string           `json:"mode"`
	As            *protocol.Subject `json:"as"`
	Request       string            `json:"request"`
	Status        int               `json:"status"`
	Message       string            `json:"message"`
}

// An authentication adds to the headers who makes a request, and later compares that with who the server says did.
type authentication func(r *protocol.Request, headers http.Header) (check func(seen *authenticationv1.UserInfo) error, err error)

// answer sends the request, and reads in the audit log what became of it.
func (s *apiServer) answer(r *protocol.Request, authenticate authentication) (*answer, error) {
	request, err := newRequest(s.url, r)
	if err != nil {
		return nil, err
	}
	impersonates := false
	for name := range request.Header {
		impersonates = impersonates || strings.HasPrefix(name, "Impersonate-")
	}
	check, err := authenticate(r, request.Header)
	if err != nil {
		return nil, err
	}
	if err := checkHeaders(request.Header); err != nil {
		return nil, err
	}
	s.sent++
	id := types.UID(fmt.Sprint(auditIDPrefix, s.sent))
	request.Header.Set(auditv1.HeaderAuditID, string(id))

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel() // ends a watch
	client, version := s.client, 2
	if r.HTTP != nil && r.HTTP.Upgrade {
		client, version = s.upgrades, 1
	}
	response, err := client.Do(request.WithContext(ctx))
	if err != nil {
		return nil, s.process.failed("%v", err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != version {
		return nil, fmt.Errorf("the server does not speak HTTP/%d but %s", version, response.Proto)
	}
	if !isEndless(r, request) {
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return nil, s.process.failed("%v", err)
		}
	}
	event, err := s.wait(id)
	if err != nil {
		return nil, err
	}
	if err := check(&event.User); err != nil {
		return nil, err
	}
	a, err := read(event, impersonates)
	if err != nil {
		return nil, fmt.Errorf("%w: status %s, audit event %+v", err, response.Status, event)
	}
	a.Status = response.StatusCode
	return a, nil
}

// read tells from the audit event what was decided. The status alone would not do: there are many ways to a 403 or 400.
func read(event *auditv1.Event, impersonates bool) (*answer, error) {
	a := &answer{Impersonation: protocol.None, Request: protocol.Denied}
	code := int32(0)
	if event.ResponseStatus != nil {
		code, a.Message = event.ResponseStatus.Code, event.ResponseStatus.Message
	}
	decision, decided := event.Annotations["authorization.k8s.io/decision"]

	if who := event.ImpersonatedUser; who != nil {
		a.Impersonation, a.As = protocol.Allowed, subjectOf(who)
		mode := protocol.Legacy
		if event.AuthenticationMetadata != nil {
			mode = strings.TrimPrefix(event.AuthenticationMetadata.ImpersonationConstraint, "impersonate:")
		}
		a.Mode = &mode
	}
	switch {
	case impersonates && a.As == nil && !decided && code == http.StatusForbidden:
		a.Impersonation = protocol.Denied
	case impersonates && a.As == nil && !decided && code == http.StatusBadRequest:
		a.Impersonation = protocol.Invalid
	case impersonates != (a.As != nil) || !decided:
		return nil, errors.New("the server decided nothing")
	case decision == "allow":
		a.Request = protocol.Allowed
	case decision != "forbid":
		return nil, errors.New("an unknown decision")
	}
	return a, nil
}

// asFrontProxy names the requestor in headers, as an authenticating proxy would.
func asFrontProxy(r *protocol.Request, headers http.Header) (func(*authenticationv1.UserInfo) error, error) {
	requestor := r.Requestor()
	headers.Set(userHeader, requestor.Name)
	for _, group := range requestor.Groups {
		headers.Add(groupHeader, group)
	}
	for key, values := range requestor.Extra {
		for _, value := range values {
			headers.Add(extraHeaderPrefix+protocol.EscapeKey(key), value)
		}
	}
	return func(seen *authenticationv1.UserInfo) error {
		got, wanted := subjectOf(seen), protocol.NewSubject(requestor.Name, "", requestor.Groups, requestor.Extra)
		if !reflect.DeepEqual(got, wanted) {
			return fmt.Errorf("HTTP cannot carry this requestor: the server sees %+v, wanted is %+v", *got, *wanted)
		}
		return nil
	}, nil
}

func subjectOf(who *authenticationv1.UserInfo) *protocol.Subject {
	extra := map[string][]string{}
	for key, values := range who.Extra {
		extra[key] = values
	}
	return protocol.NewSubject(who.Username, who.UID, who.Groups, extra)
}
