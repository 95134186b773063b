//! Errors of commands and clients as output shows them, and back.

use crate::client::{CtlError, Exit};
use crate::output::{Failure, Fault};

impl From<CtlError> for Failure {
  fn from(error: CtlError) -> Self {
    Box::new(Fault {
      exit: error.exit,
      code: error.code.clone(),
      message: error.message.clone(),
      facts: error.facts.clone(),
      help: error.help.clone(),
      fields: error.fields.clone(),
      request_id: error.request_id.clone(),
    })
  }
}

impl From<Failure> for CtlError {
  fn from(fault: Failure) -> Self {
    let mut error = Self::new(Exit::Failure, fault.message);
    error.exit = fault.exit;
    error.code = fault.code;
    error.facts = fault.facts;
    error.help = fault.help;
    error.fields = fault.fields;
    error.request_id = fault.request_id;
    error
  }
}
