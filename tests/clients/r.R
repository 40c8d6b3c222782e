# Loss and gradient with R: as JSON, as binary tensors, and an error.
#
#     Rscript tests/clients/r.R http://127.0.0.1:8080
library(curl)
library(jsonlite)

post <- function(url, type, body) {
  handle <- new_handle(post = TRUE, postfieldsize = length(body), postfields = body)
  handle_setheaders(handle, "Content-Type" = type)
  response <- curl_fetch_memory(url, handle)
  if (response$status_code != 200) stop(fromJSON(rawToChar(response$content))$detail, call. = FALSE)
  response$content
}

# Sends fields as JSON. A vector of one element stays a vector; unbox() makes it a number.
evaluate <- function(url, ...) {
  fromJSON(rawToChar(post(url, "application/json", charToRaw(toJSON(list(...), digits = NA)))))
}

# Sends and receives safetensors files: numbers are never converted to text. Takes vectors, sent as
# float32; returns vectors.
evaluate_arrays <- function(url, ...) {
  arrays <- list(...)
  ends <- cumsum(4 * lengths(arrays))
  header <- Map(function(array, end) {
    begin <- end - 4 * length(array)
    list(dtype = unbox("F32"), shape = length(array), data_offsets = c(begin, end))
  }, arrays, ends)
  text <- toJSON(header, digits = NA)
  text <- paste0(text, strrep(" ", -nchar(text) %% 8)) # aligns the data
  length <- writeBin(c(nchar(text), 0L), raw(), endian = "little") # eight bytes
  data <- writeBin(as.numeric(unlist(arrays)), raw(), size = 4, endian = "little")
  response <- post(url, "application/vnd.safetensors", c(length, charToRaw(text), data))
  begin <- 8 + readBin(response, "integer", endian = "little")
  tensors <- fromJSON(rawToChar(response[9:begin]))
  tensors$`__metadata__` <- NULL
  lapply(tensors, function(tensor) {
    size <- if (tensor$dtype == "F64") 8 else 4
    count <- diff(tensor$data_offsets) / size
    bytes <- response[begin + tensor$data_offsets[1] + seq_len(count * size)]
    readBin(bytes, "numeric", count, size, endian = "little")
  })
}

show <- function(name, values) {
  cat(paste(c(name, sprintf("%.6f", values)), collapse = " "), "\n", sep = "")
}

server <- commandArgs(TRUE)[1]
input <- c(2.5, 0, 2)
target <- c(3, -0.5, 2)

mse <- file.path(server, "v1/losses/mse")
response <- evaluate(mse, input = input, target = target, grad = unbox(TRUE))
show("loss", response$loss)
show("gradient", response$grad$input)

arrays <- evaluate_arrays(paste0(mse, "?grad=true"), input = input, target = target)
show("binary loss", arrays$loss)
show("binary gradient", arrays$grad_input)

cross_entropy <- file.path(server, "v1/losses/cross_entropy")
tryCatch(evaluate(cross_entropy, input = matrix(c(0.2, 0.8), 1), target = 2),
         error = function(error) cat("error: ", conditionMessage(error), "\n", sep = ""))
