package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
)

// call makes a request that is no answer, as somebody who may do anything.
func (s *apiServer) call(method, path string, object, result any) error {
	var body io.Reader
	if object != nil {
		data, err := json.Marshal(object)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	request, err := http.NewRequest(method, s.url+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set(userHeader, "deputize:admin")
	request.Header.Set(groupHeader, user.SystemPrivilegedGroup)
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	if result == nil || response.StatusCode >= 300 {
		return expectOK(response)
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(result)
}

// expectOK reads a response to its end, and makes an error of what a server says that could not do what it was asked.
func expectOK(response *http.Response) error {
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode < 300 {
		return err
	}
	var status metav1.Status
	if json.Unmarshal(text, &status) == nil && status.Message != "" {
		text = []byte(status.Message)
	}
	return &refusal{response.StatusCode, fmt.Sprintf("%s: %s", response.Status, text)}
}

// refusal is a response that says why something was not done.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

func exists(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.code == http.StatusConflict
}
