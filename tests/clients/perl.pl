#!/usr/bin/perl
# Loss and gradient with Perl, core modules only: as JSON, as binary tensors, and an error.
#
#     perl tests/clients/perl.pl http://127.0.0.1:8080
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;

my ($server) = @ARGV;
my $http = HTTP::Tiny->new(keep_alive => 1);

sub post {
    my ($path, $type, $body) = @_;
    my $response =
      $http->post("$server$path", {headers => {'Content-Type' => $type}, content => $body});
    die decode_json($response->{content})->{detail} . "\n" unless $response->{success};
    return $response->{content};
}

# Sends fields as JSON.
sub evaluate {
    my ($path, %fields) = @_;
    return decode_json(post($path, 'application/json', encode_json(\%fields)));
}

# Sends and receives safetensors files: numbers are never converted to text. Takes lists of numbers;
# returns lists of numbers.
sub evaluate_arrays {
    my ($path, %arrays) = @_;
    my (%header, $data);
    for my $name (keys %arrays) {
        my $begin = length($data // '');
        $data .= pack 'f<*', @{$arrays{$name}};
        $header{$name} = {
            dtype        => 'F32',
            shape        => [scalar @{$arrays{$name}}],
            data_offsets => [$begin, length $data],
        };
    }
    my $text = encode_json(\%header);
    $text .= ' ' x (-length($text) % 8);    # aligns the data
    my $file     = pack('Q<', length $text) . $text . $data;
    my $response = post($path, 'application/vnd.safetensors', $file);
    my $begin = 8 + unpack 'Q<', $response;
    my $tensors = decode_json(substr $response, 8, $begin - 8);
    delete $tensors->{__metadata__};
    my %unpack = (F32 => 'f<*', F64 => 'd<*');
    return {map {
        my ($from, $to) = @{$tensors->{$_}{data_offsets}};
        my $bytes = substr $response, $begin + $from, $to - $from;
        $_ => [unpack $unpack{$tensors->{$_}{dtype}}, $bytes];
    } keys %$tensors};
}

sub show {
    my ($name, @values) = @_;
    print join(' ', $name, map { sprintf '%.6f', $_ } @values), "\n";
}

my @input  = (2.5, 0, 2);
my @target = (3, -0.5, 2);

my $response =
  evaluate('/v1/losses/mse', input => \@input, target => \@target, grad => JSON::PP::true);
show('loss',     $response->{loss});
show('gradient', @{$response->{grad}{input}});

my $arrays = evaluate_arrays('/v1/losses/mse?grad=true', input => \@input, target => \@target);
show('binary loss',     @{$arrays->{loss}});
show('binary gradient', @{$arrays->{grad_input}});

eval { evaluate('/v1/losses/cross_entropy', input => [[0.2, 0.8]], target => [2]) }
  or print "error: $@";
