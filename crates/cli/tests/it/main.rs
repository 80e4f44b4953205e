//! The program as it is typed: started, asked, told to stop.

mod program;
mod run;
mod serve;
