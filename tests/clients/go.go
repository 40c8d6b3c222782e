// Loss and gradient with Go: as JSON, as binary tensors, and an error.
//
//	go run tests/clients/go.go http://127.0.0.1:8080
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

type answer struct {
	Loss float64              `json:"loss"`
	Grad map[string][]float32 `json:"grad"`
}

type tensor struct {
	Dtype   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

func post(url, contentType string, body []byte) ([]byte, error) {
	response, err := http.Post(url, contentType, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		if err = json.Unmarshal(data, &problem); err == nil {
			err = errors.New(problem.Detail)
		}
	}
	return data, err
}

// Sends fields as JSON.
func evaluate(url string, fields map[string]any) (result answer, err error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return
	}
	data, err := post(url, "application/json", body)
	if err == nil {
		err = json.Unmarshal(data, &result)
	}
	return
}

// Sends and receives safetensors files: numbers are never converted to text.
func evaluateArrays(url string, arrays map[string][]float32) (
	loss float64, gradient []float32, err error,
) {
	header, data := map[string]tensor{}, &bytes.Buffer{}
	for name, array := range arrays {
		begin := data.Len()
		binary.Write(data, binary.LittleEndian, array)
		header[name] = tensor{"F32", []int{len(array)}, [2]int{begin, data.Len()}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		return
	}
	for len(text)%8 != 0 { // aligns the data
		text = append(text, ' ')
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	file = append(append(file, text...), data.Bytes()...)
	if file, err = post(url, "application/vnd.safetensors", file); err != nil {
		return
	}
	begin := 8 + int(binary.LittleEndian.Uint64(file))
	var tensors struct {
		Loss tensor `json:"loss"`
		Grad tensor `json:"grad_input"`
	}
	if err = json.Unmarshal(file[8:begin], &tensors); err != nil {
		return
	}
	at := begin + tensors.Loss.Offsets[0]
	from, to := begin+tensors.Grad.Offsets[0], begin+tensors.Grad.Offsets[1]
	gradient = make([]float32, (to-from)/4)
	binary.Read(bytes.NewReader(file[at:]), binary.LittleEndian, &loss)
	binary.Read(bytes.NewReader(file[from:to]), binary.LittleEndian, gradient)
	return
}

func show(name string, values ...float32) {
	fmt.Print(name)
	for _, value := range values {
		fmt.Printf(" %.6f", value)
	}
	fmt.Println()
}

func main() {
	server := os.Args[1]
	input, target := []float32{2.5, 0, 2}, []float32{3, -0.5, 2}

	fields := map[string]any{"input": input, "target": target, "grad": true}
	result, err := evaluate(server+"/v1/losses/mse", fields)
	if err != nil {
		log.Fatal(err)
	}
	show("loss", float32(result.Loss))
	show("gradient", result.Grad["input"]...)

	arrays := map[string][]float32{"input": input, "target": target}
	loss, gradient, err := evaluateArrays(server+"/v1/losses/mse?grad=true", arrays)
	if err != nil {
		log.Fatal(err)
	}
	show("binary loss", float32(loss))
	show("binary gradient", gradient...)

	fields = map[string]any{"input": [][]float32{{0.2, 0.8}}, "target": []int{2}}
	_, err = evaluate(server+"/v1/losses/cross_entropy", fields)
	fmt.Println("error:", err)
}
