#!/usr/bin/perl
# texts.pl FILE...: prints each string of our C files that people may read, with its place, so that
# all of them can be reviewed: log, messages of commands, status, page, metrics, the manual of
# settings. Adjacent literals are joined, as by the compiler. Strings without two words (formats,
# names, paths) are left out.
use strict;
use warnings;

my $literal = qr/"((?:\\.|[^"\\\n])*)"/;
my ($texts, $words) = (0, 0);

# The text between two pieces of one string.
my $between = qr{(?:\s|\\\n|/\*.*?\*/)*}s;

for my $file (@ARGV) {
    open my $in, '<', $file or die "$file: $!\n";
    my $code = do { local $/; <$in> };
    my $line = 1;
    pos($code) = 0;
    while (pos($code) < length $code) {
        if ($code =~ m{\G(/\*.*?\*/|//[^\n]*|'(?:\\.|[^'\\\n])*'|^[ \t]*#[ \t]*include[^\n]*)}gcsm) {
            $line += ($1 =~ tr/\n//);
        } elsif ($code =~ m{\G($literal(?:$between$literal)*)}gcs) {
            my $all  = $1;
            my $text = join '', $all =~ /$literal/g;
            if ($text =~ /[a-z]{2,}[,;:]? +[a-z(%]/i) {
                print "$file:$line: $text\n";
                $texts++;
                $words += () = $text =~ /\w+/g;
            }
            $line += ($all =~ tr/\n//);
        } else {
            $code =~ /\G(.)/gcs;
            $line++ if $1 eq "\n";
        }
    }
}
print STDERR "$texts texts, $words words\n";
