/*
 * The driver for number text: lossd's reader and writer of JSON tensors, and peers.
 * Commands:
 *
 *     read PEER KIND COUNT THREADS REPETITIONS     {"ns": [...], "bytes": ..., "wrong": ...}
 *     write PEER COUNT THREADS REPETITIONS         the same
 *
 * Peers that read: lossd, simdjson, fast_float. Kinds: `float32` and `float64`, flat arrays of
 * numbers of 17 significant digits read into that type; `rows`, like `float32` in nested arrays of
 * ten; `short`, flat arrays of floats in their shortest text. Peers that write floats: lossd,
 * to_chars (libstdc++), double-conversion. Each reads the same text into an allocated array, or
 * writes the same floats, with commas, into an allocated buffer.
 *
 * `wrong` counts read numbers that are not correctly rounded, or written numbers that do not read
 * back. simdjson has a few in float32, because it returns doubles, which are rounded a second time.
 *
 * A peer that was not installed when this was compiled answers {"missing": package}.
 */
#include <charconv>
#include <cstring>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#if __has_include(<simdjson.h>)
#include <simdjson.h>
#endif
#if __has_include(<fast_float/fast_float.h>)
#include <fast_float/fast_float.h>
#endif
#if __has_include(<double-conversion/double-conversion.h>)
#include <double-conversion/double-conversion.h>
#endif

extern "C" {
#include "driver.h"
#include "json/tensor_json.h"
}

namespace
{

constexpr size_t row_length = 10, padding = 64; /* readable bytes after the text, for simdjson */

struct Missing {
    const char *package;
};
struct Unsupported {
    const char *reason;
};

struct Text {
    std::string json; /* `length` bytes of JSON, then zeros */
    size_t length, count;
    bool nested;
};

/* ---- Reading ---- */

template <class T> bool read_lossd(const Text &text, T *out, int threads)
{
    const char *body = text.json.data(), *end;
    struct tensor_json tensor;
    struct loss_error error;
    return tensor_json_scan(&tensor, body, body, body + text.length, "/input", NULL, &end,
                            &error) == LOSS_OK &&
           tensor.count == text.count &&
           tensor_json_decode(&tensor, std::is_same_v<T, float> ? LOSS_FLOAT32 : LOSS_FLOAT64, out,
                              body, "/input", threads, nullptr, &error) == LOSS_OK;
}

void write_lossd(const std::vector<float> &values, struct buffer *out, int threads)
{
    struct loss_tensor tensor = {};
    tensor.data = const_cast<float *>(values.data());
    tensor.dtype = LOSS_FLOAT32;
    tensor.rank = 1;
    tensor.shape[0] = values.size();
    tensor_json_encode(out, &tensor, FORM_NESTED, threads);
}

template <class T> bool read_simdjson([[maybe_unused]] const Text &text, [[maybe_unused]] T *out)
{
#if __has_include(<simdjson.h>)
    static simdjson::ondemand::parser parser;
    simdjson::ondemand::document document = parser.iterate(
        simdjson::padded_string_view(text.json.data(), text.length, text.json.size()));
    if (text.nested) {
        for (simdjson::ondemand::array row : document.get_array()) {
            for (double value : row)
                *out++ = static_cast<T>(value);
        }
    } else {
        for (double value : document.get_array())
            *out++ = static_cast<T>(value);
    }
    return true;
#else
    throw Missing{"libsimdjson-dev"};
#endif
}

/* Reads numbers and the separators between them: a minimal subset of JSON, which favors the peer.
 */
template <class T> bool read_fast_float([[maybe_unused]] const Text &text, [[maybe_unused]] T *out)
{
#if __has_include(<fast_float/fast_float.h>)
    const char *at = text.json.data(), *end = at + text.length;
    while (true) {
        while (at < end && (*at == '[' || *at == ']' || *at == ','))
            at++;
        if (at == end)
            return true;
        const auto answer = fast_float::from_chars(at, end, *out++);
        if (answer.ec != std::errc())
            return false;
        at = answer.ptr;
    }
#else
    throw Missing{"libfast-float-dev"};
#endif
}

template <class T> bool read(const std::string &peer, const Text &text, T *out, int threads)
{
    if (peer == "lossd")
        return read_lossd(text, out, threads);
    if (peer == "simdjson")
        return read_simdjson(text, out);
    if (peer == "fast_float")
        return read_fast_float(text, out);
    throw Unsupported{"no such reader"};
}

Text make_text(const std::string &kind, size_t count)
{
    Text text = {};
    text.count = count;
    text.nested = kind == "rows";
    std::mt19937_64 random(1);
    std::normal_distribution<double> normal;
    char number[40];
    for (size_t i = 0; i < count; i++) {
        const bool opens = text.nested && i % row_length == 0;
        text.json += i == 0 ? (opens ? "[[" : "[") : opens ? "],[" : ",";
        const double value = normal(random);
        if (kind == "short")
            text.json.append(
                number,
                std::to_chars(number, number + sizeof number, static_cast<float>(value)).ptr);
        else
            text.json.append(
                number, static_cast<size_t>(std::snprintf(number, sizeof number, "%.17g", value)));
    }
    text.json += text.nested ? "]]" : "]";
    text.length = text.json.size();
    text.json.append(padding, '\0');
    return text;
}

/* Counts the numbers that differ from those that libstdc++ reads. */
template <class T>
size_t count_wrong(const char *at, const char *end, const T *values, size_t count)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        while (at < end && (*at == '[' || *at == ']' || *at == ','))
            at++;
        T value;
        const auto answer = std::from_chars(at, end, value);
        at = answer.ptr;
        wrong += answer.ec != std::errc() || std::memcmp(&value, &values[i], sizeof value) != 0;
    }
    return wrong;
}

void answer(const std::vector<double> &ns, size_t bytes, size_t wrong)
{
    std::printf("{\"bytes\": %zu, \"wrong\": %zu, ", bytes, wrong);
    print_times(ns.data(), static_cast<int>(ns.size()));
    std::printf("}\n");
}

template <class T>
void time_read(const std::string &peer, const std::string &kind, size_t count, int threads,
               int repetitions)
{
    static Text text;
    static std::string made;
    if (made != kind || text.count != count) {
        text = make_text(kind, count);
        made = kind;
    }
    std::vector<T> values(count);
    std::vector<double> ns;
    for (int i = 0; i <= repetitions; i++) { /* the first is not timed */
        const double start = now_ns();
        if (!read(peer, text, values.data(), threads))
            throw std::runtime_error(peer + " could not read the text");
        if (i > 0)
            ns.push_back(now_ns() - start);
    }
    answer(ns, text.length,
           count_wrong(text.json.data(), text.json.data() + text.length, values.data(), count));
}

/* ---- Writing ---- */

void write_to_chars(const std::vector<float> &values, struct buffer *out)
{
    char *at = out->data, *end = at + out->capacity;
    *at++ = '[';
    for (size_t i = 0; i < values.size(); i++) {
        if (i > 0)
            *at++ = ',';
        at = std::to_chars(at, end, values[i]).ptr;
    }
    *at++ = ']';
    out->len = static_cast<size_t>(at - out->data);
}

void write_double_conversion([[maybe_unused]] const std::vector<float> &values,
                             [[maybe_unused]] struct buffer *out)
{
#if __has_include(<double-conversion/double-conversion.h>)
    const auto &converter = double_conversion::DoubleToStringConverter::EcmaScriptConverter();
    double_conversion::StringBuilder builder(out->data, static_cast<int>(out->capacity));
    builder.AddCharacter('[');
    for (size_t i = 0; i < values.size(); i++) {
        if (i > 0)
            builder.AddCharacter(',');
        converter.ToShortestSingle(values[i], &builder);
    }
    builder.AddCharacter(']');
    out->len = static_cast<size_t>(builder.position());
    builder.Finalize();
#else
    throw Missing{"libdouble-conversion-dev"};
#endif
}

void time_write(const std::string &peer, size_t count, int threads, int repetitions)
{
    /* Numbers like those of the gradient of a mean of squares. */
    std::mt19937_64 random(1);
    std::normal_distribution<double> normal;
    std::vector<float> values(count);
    for (float &value : values)
        value = static_cast<float>(2 * normal(random) / static_cast<double>(count));

    struct buffer out = {};
    if (!buffer_reserve(&out, 32 * count + 64))
        throw std::bad_alloc();
    std::memset(out.data, ' ', out.capacity);
    std::vector<double> ns;
    for (int i = 0; i <= repetitions; i++) { /* the first is not timed */
        const double start = now_ns();
        out.len = 0;
        if (peer == "lossd")
            write_lossd(values, &out, threads);
        else if (peer == "to_chars")
            write_to_chars(values, &out);
        else if (peer == "double-conversion")
            write_double_conversion(values, &out);
        else
            throw Unsupported{"no such writer"};
        if (i > 0)
            ns.push_back(now_ns() - start);
    }
    answer(ns, out.len, count_wrong(out.data, out.data + out.len, values.data(), count));
    buffer_free(&out);
}

void obey(const std::string &line)
{
    std::istringstream words(line);
    std::string verb, peer, kind;
    size_t count = 0;
    int threads = 0, repetitions = 0;
    words >> verb >> peer;
    if (verb == "read")
        words >> kind;
    words >> count >> threads >> repetitions;
    if (!words || count == 0 || repetitions < 1)
        throw std::runtime_error("no such command");
    if (verb == "write")
        time_write(peer, count, threads, repetitions);
    else if (kind == "float64")
        time_read<double>(peer, kind, count, threads, repetitions);
    else
        time_read<float>(peer, kind, count, threads, repetitions);
}

} // namespace

int main()
{
    std::string line;
    while (std::getline(std::cin, line)) {
        try {
            obey(line);
        } catch (const Missing &missing) {
            std::printf("{\"missing\": \"%s\"}\n", missing.package);
        } catch (const Unsupported &unsupported) {
            std::printf("{\"unsupported\": \"%s\"}\n", unsupported.reason);
        } catch (const std::exception &error) {
            std::printf("{\"error\": \"text: %s\"}\n", error.what());
        }
        std::fflush(stdout);
    }
}
