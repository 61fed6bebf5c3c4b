"""What planted_all asks of models: their bars, one module for each kind of made world."""
