/* Tests the files that lossctl reads and writes: formats, CSV headers, errors. */

#include "lossctl_run.h"
#include "suites.h"
#include "support/folder.h"

#include <stdint.h>
#include <string.h>

/* ---- Formats ---- */

START_TEST(tensors_are_read_from_every_format_and_stdin)
{
    static const char *const inputs[] = {"--input x.npy", "--input x.csv", "--input both.json",
                                         "--input both.json:input", "--input npy:x.npy"};
    static const char *const targets[] = {"--target y.npy", "--target y.csv",
                                          "--target both.json:y", "--target - <y.csv",
                                          "--target - <y.npy"};
    write_small_tensors();
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        for (size_t k = 0; k < sizeof targets / sizeof targets[0]; k++) {
            assert_run(OK, "$L eval mse --quiet %s %s %s", (i + k) % 2 ? "--local" : "", inputs[i],
                       targets[k]);
            ck_assert_str_eq(lossctl_out, small_tensors_loss);
        }
    assert_run(OK, "cat both.json | $L eval MSELoss -q --input - --target -:y");
    ck_assert_str_eq(lossctl_out, small_tensors_loss);
    assert_run(OK, "echo '{\"input\": [1, 2], \"target\": [1, 4]}' | $L eval mse --local -q "
                   "--input - --target -");
    ck_assert_str_eq(lossctl_out, "2\n");
    assert_run(OK, "$L compare mse l1 --local --input - --target y.csv <x.csv");
    /* the only tensor of a file, whatever its name */
    assert_run(OK,
               "$L eval mse --local --input x.npy --target y.npy --grad g.safetensors -q && "
               "$L eval mse --local -q --input g.safetensors --target g.safetensors:grad_input");
    ck_assert_str_eq(lossctl_out, "0.16666666666666666\n0\n");
}
END_TEST

START_TEST(gradients_are_written_in_every_format_and_to_stdout)
{
    write_small_tensors();
    assert_run(OK, "$L eval mse --input x.npy --target y.npy --grad - --local");
    ck_assert_str_eq(lossctl_out, "[-0.33333334,0.33333334,0]\n");
    assert_has(lossctl_err, "loss       0.16666666666666666\n");
    assert_run(OK, "$L eval mse --input x.npy --target y.npy --grad csv:- --quiet");
    ck_assert_str_eq(lossctl_out, "-0.33333334\n0.33333334\n0\n");
    ck_assert_str_eq(lossctl_err, "");
    static const char *const files[] = {"g.npy", "g.csv", "g.json", "g.safetensors"};
    for (int i = 0; i < 4; i++) {
        assert_run(OK, "$L eval mse --input x.npy --target y.npy --grad %s --grad-target t.json",
                   files[i]);
        assert_has(lossctl_out, "grad_target");
        assert_run(OK, "$L eval l1 --local -q --reduction sum --input %s --target t.json",
                   files[i]);
        ck_assert_str_eq(lossctl_out, "1.3333333730697632\n"); /* one gradient is minus the other */
    }
    assert_run(
        OK, "$L eval mse --input x.npy --target y.npy --reduction none --terms npy:- | cat >t.npy; "
            "$L eval l1 --local -q --input t.npy --target t.npy");
    ck_assert_str_eq(lossctl_out, "0\n");
}
END_TEST

START_TEST(fortran_order_and_big_endian_arrays_are_read_correctly)
{
    static const float columns[] = {1, 2, 3, 10, 20, 30};
    uint32_t bits[6];
    memcpy(bits, columns, sizeof bits);
    for (size_t i = 0; i < 6; i++)
        bits[i] = __builtin_bswap32(bits[i]);
    write_npy("f.npy", "{'descr': '>f4', 'fortran_order': True, 'shape': (3,2)}\n", bits,
              sizeof bits);
    folder_write("z.csv", "0 0\n0\t0\n0 0\n");
    for (int local = 0; local < 2; local++) {
        assert_run(OK,
                   "$L eval l1 %s -q --input f.npy --target z.csv --reduction none --terms csv:-",
                   local ? "--local" : "");
        ck_assert_str_eq(lossctl_out, "1,10\n2,20\n3,30\n");
    }
}
END_TEST

START_TEST(byte_order_mark_is_ignored)
{
    folder_write("x.json", "\xef\xbb\xbf[1, 3]");
    folder_write("x.dat", "\xef\xbb\xbf [1, 3]");
    folder_write("x.csv", "\xef\xbb\xbfy\r\n1\r\n3\r\n");
    assert_run(OK, "for i in x.json x.dat x.csv; do $L eval mse --local --input $i --target x.json "
                   "--json; done");
    ck_assert_int_eq(strncmp(lossctl_out, "{\"loss\":0,", 10), 0);
}
END_TEST

/* ---- CSV headers ---- */

/* The first row is a header only if it cannot be a row of numbers. */
START_TEST(csv_header_is_detected)
{
    static const char *const headers[] = {"y\n1\n3\n",
                                          "y_true\r\n1\r\n3\r\n",
                                          "\"y\"\n1\n3\n",
                                          "\"a, 1\"\n1\n3\n",
                                          "\"class 1 (%)\"\n1\n3\n",
                                          "\xc3\xa4\n1\n3\n",
                                          "_\n1\n3\n",
                                          "\"1\"\n\"3\"\n",
                                          "1\n3\n",
                                          "# y\n1\n3\n",
                                          "true\n3\n",
                                          "narrow\n1\n3\n"};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        folder_write("x.csv", headers[i]);
        assert_run(
            OK,
            "$L eval l1 --local -q --input x.csv --target x.csv --reduction none --terms csv:-");
        ck_assert_msg(strcmp(lossctl_out, "0\n0\n") == 0, "%s: %s", headers[i], lossctl_out);
    }
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"NA\n1\n3\n",
         "line 1, column 1: 'NA' where a number was expected; write nan for a missing number"},
        {"1\n3\nN/A\n",
         "line 3, column 1: 'N/A' where a number was expected; write nan for a missing number"},
        {"null\n1\n",
         "line 1, column 1: 'null' where a number was expected; write nan for a missing number"},
        {"<NA>\n1\n",
         "line 1, column 1: '<NA>' where a number was expected; write nan for a missing number"},
        {"y,NA\n1,2\n", "line 1, column 1: 'y' where a number was expected"},
        {",y\n0,2\n", "line 1, column 1: expected a number; write nan for a missing one"},
        {"\"\",\"y\"\n\"1\",2\n",
         "line 1, column 1: expected a number; write nan for a missing one"},
        {"1.5x\n3\n", "line 1, column 1: '1.5x' where a number was expected"},
        {"-\n3\n", "line 1, column 1: '-' where a number was expected"},
        {"?\n3\n", "line 1, column 1: '?' where a number was expected"},
        {"+1\n3\n", "line 1, column 1: '+1' where a number was expected"},
        {".5\n3\n", "line 1, column 1: '.5' where a number was expected"},
        {"$3\n3\n", "line 1, column 1: '$3' where a number was expected"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[200];
        folder_write("x.csv", rows[i].text);
        snprintf(expected, sizeof expected, "lossctl: x.csv: %s\n", rows[i].error);
        assert_run(INPUT, "$L eval mse --local --input x.csv --target x.csv");
        ck_assert_str_eq(lossctl_err, expected);
    }
}
END_TEST

START_TEST(csv_header_option_overrides_detection)
{
    folder_write("x.csv", "0\n1.5\n3\n"); /* as pandas writes a Series without a name */
    folder_write("y.csv", "NA\n1\n3\n");
    assert_run(OK,
               "$L eval l1 --local -q --input x.csv --target x.csv --reduction none --terms csv:-");
    ck_assert_str_eq(lossctl_out, "0\n0\n0\n");
    assert_run(OK, "$L eval l1 --local -q --header yes --input x.csv --target y.csv --reduction "
                   "none --terms csv:-");
    ck_assert_str_eq(lossctl_out, "0.5\n0\n");
    assert_run(OK, "$L compare l1 --local -q --header=yes --input x.csv --target y.csv --json");
    assert_has(lossctl_out, "\"loss\":0.25");
    folder_write("z.csv", "y\n1\n");
    assert_wrong(INPUT, "z.csv: line 1, column 1: 'y' where a number was expected",
                 "$L eval l1 --local --header no --input z.csv --target z.csv");
    assert_wrong(USAGE, "--header is 'maybe'; it must be auto, yes or no",
                 "$L eval l1 --local --header maybe --input z.csv --target z.csv");
    assert_wrong(USAGE, "--header is 'maybe'; it must be auto, yes or no",
                 "$L compare l1 --local --header maybe --input z.csv --target z.csv");
}
END_TEST

/* ---- Errors ---- */

START_TEST(file_errors_name_file_and_position)
{
    write_small_tensors();
    folder_write("bad.csv", "a,b\n1,2\n3,x\n");
    folder_write("ragged.csv", "1,2\n3\n");
    folder_write("comma.csv", "1;2,5\n");
    folder_write("hole.csv", "1,,2\n");
    folder_write("empty.csv", "a,b\n");
    folder_write("labels.csv", "0\n1.5\n0\n");
    folder_write("bad.json", "[1, 2, [3]]");
    folder_write("cut.json", "{\"input\": [1, 2, 3], \"b\": [1");
    folder_write("short.safetensors", "x");
    folder_write("cut.npy", "\x93NUMPY\x01");
    assert_wrong(INPUT, "cannot read nothing.npy: No such file or directory",
                 "$L eval mse --input nothing.npy");
    assert_wrong(INPUT, "bad.csv: line 3, column 3: 'x' where a number was expected",
                 "$L eval mse --local --input bad.csv --target bad.csv");
    assert_wrong(INPUT,
                 "ragged.csv: line 2, column 1: this row has 1 fields; the rows before it have 2",
                 "$L eval mse --input ragged.csv");
    assert_wrong(INPUT,
                 "comma.csv: line 1, column 4: ',' where ';' or the end of the line was expected; "
                 "numbers have a decimal point",
                 "$L eval mse --input comma.csv");
    assert_wrong(INPUT,
                 "hole.csv: line 1, column 3: expected a number; write nan for a missing one",
                 "$L eval mse --input hole.csv");
    assert_wrong(INPUT, "empty.csv: line 2, column 1: the end where a row of numbers was expected",
                 "$L eval mse --input empty.csv");
    assert_wrong(INPUT, "labels.csv: line 2, column 1: '1.5' where a whole number was expected",
                 "echo '[[1, 2], [2, 1], [0, 0]]' | $L eval nll --input - --target labels.csv");
    assert_wrong(INPUT,
                 "bad.json: input[2] is an array where its neighbors are numbers; nested arrays "
                 "must be rectangular",
                 "$L eval mse --input bad.json");
    assert_wrong(INPUT, "cut.json: invalid JSON at the end (byte 28)",
                 "$L eval mse --input cut.json");
    assert_wrong(INPUT, "both.json: the object does not contain 'target2'",
                 "$L eval mse --input both.json --target both.json:target2");
    assert_wrong(INPUT,
                 "short.safetensors: a safetensors file begins with an 8-byte header length; this "
                 "file has 1 bytes",
                 "$L eval mse --input short.safetensors");
    assert_wrong(INPUT, "cut.npy: input: the file ends before its header (byte 7)",
                 "$L eval mse --input cut.npy");
    assert_wrong(INPUT, "target is missing: true values, of shape (*), broadcast against input",
                 "$L eval mse --batch both.json");
    assert_wrong(INPUT, "target has shape (4,); it does not broadcast with (3,) of input",
                 "seq 4 | $L eval mse --input x.npy --target -");
    assert_wrong(USAGE,
                 "bad.csv is not a batch; it must be a safetensors or JSON file, in which tensors "
                 "have names",
                 "$L eval mse --batch bad.csv");
    assert_wrong(INPUT, "both.json contains none of the tensors of ctc",
                 "$L eval ctc --batch both.json");
    assert_wrong(FAILED, "cannot write nowhere/g.npy: No such file or directory",
                 "$L eval mse --local --input x.npy --target y.npy --grad nowhere/g.npy");
    assert_run(OK, "ls -A | grep part || true");
    ck_assert_str_eq(lossctl_out, "");
}
END_TEST

/* ---- Replacing ---- */

#define EVAL "$L eval mse -q --local --input x.npy --target y.npy "

START_TEST(files_are_replaced_atomically_through_links)
{
    write_small_tensors();
    assert_run(OK, "mkdir t && echo old >t/p && ln -s t/p a && ln -s $PWD/a b && ln -s t/q c");
    /* a disk that is full, as a limit of the size of files */
    for (const char *link = "abc"; *link; link++) {
        assert_run(OK,
                   "trap '' XFSZ; { ulimit -f 0; " EVAL "--part 1/1 --partial %c; } 2>&1 | cat >&2",
                   *link);
        assert_has(lossctl_err, ": File too large\n");
    }
    assert_run(OK, "cat t/p; ls t");
    ck_assert_str_eq(lossctl_out, "old\np\n");
    for (const char *link = "bc"; *link; link++)
        assert_run(OK, EVAL "--part 1/1 --partial %c >o && test -L %c && $L merge -q %c", *link,
                   *link, *link);
    ck_assert_str_eq(lossctl_out, small_tensors_loss);
    assert_run(OK, "cmp t/p t/q && ls t && test -L a");
    ck_assert_str_eq(lossctl_out, "p\nq\n");
    assert_wrong(FAILED, "cannot write loop: Too many levels of symbolic links",
                 "ln -s loop loop; " EVAL "--part 1/1 --partial loop");
    /* neither a pipe nor a file that the shell has opened is replaced */
    assert_run(OK, EVAL "--grad npy:/dev/fd/3 3>g.npy && { " EVAL "--grad npy:/dev/fd/3 3>&1 >o; } "
                        "| cat >h.npy && cmp g.npy h.npy && ls");
    ck_assert_ptr_null(strstr(lossctl_out, ".part"));
}
END_TEST

START_TEST(files_that_killed_processes_leave_are_removed)
{
    write_small_tensors();
    assert_run(OK, "for i in t/p g.npy; do mkdir -p t; touch $i.0123456789abcdef.part $i.99.part "
                   "$i.0123456789abcdef; done; ln -s t/p p");
    assert_run(OK, EVAL "--part 1/1 --partial p");
    assert_run(OK, EVAL "--grad g.npy >o && ls g.npy* t/p*");
    ck_assert_str_eq(lossctl_out, "g.npy\ng.npy.0123456789abcdef\ng.npy.99.part\n"
                                  "t/p\nt/p.0123456789abcdef\nt/p.99.part\n");
}
END_TEST

/* ---- Suite ---- */

Suite *lossctl_files_suite(void)
{
    Suite *suite = suite_create("lossctl_files");
    if (!lossctl_find())
        return suite;
    TCase *const tcase =
        suite_add_case(suite, "lossctl_files", 60, lossctl_setup, lossctl_teardown);
    CASE_ADD(tcase, tensors_are_read_from_every_format_and_stdin,
             gradients_are_written_in_every_format_and_to_stdout,
             fortran_order_and_big_endian_arrays_are_read_correctly, byte_order_mark_is_ignored,
             csv_header_is_detected, csv_header_option_overrides_detection,
             file_errors_name_file_and_position, files_are_replaced_atomically_through_links,
             files_that_killed_processes_leave_are_removed);
    return suite;
}
