SELECT version, before FROM corrections FINAL WHERE monitor = {monitor:String} AND id = {id:String}
